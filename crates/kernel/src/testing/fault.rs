//! What a test has in mind for calls to the platform: they fail, lose their answer, or wait.

use super::{DEADLINE, Native};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::yield_now, time::timeout};

/// What a test has in mind for a call.
pub(super) struct Hook {
    text: String,
    skip: usize,
    times: usize,
    deed: Deed,
}

#[derive(Clone)]
enum Deed {
    /// It fails, and nothing is done.
    Fail(String),
    /// It is done, but the answer is lost.
    Lose(String),
    /// It waits.
    Hold(Arc<Hold>),
    /// It is done, and its answer waits.
    HoldAnswer(Arc<Hold>),
}

/// A call that waits for the test.
pub struct Hold {
    here: Semaphore,
    go: Semaphore,
}

impl Hold {
    /// Waits until the call has come here.
    pub async fn reached(&self) {
        timeout(DEADLINE, self.here.acquire()).await.expect("nobody made the call").unwrap().forget();
    }

    /// Lets the call go on.
    pub fn release(&self) {
        self.go.add_permits(1);
    }

    async fn wait(&self) {
        self.here.add_permits(1);
        self.go.acquire().await.unwrap().forget();
    }
}

impl Native {
    /// The next call with this text in its name fails with this message, and nothing of it is done.
    pub fn fail(&self, text: &str, message: &str) {
        self.fail_nth(1, text, message);
    }

    /// The n-th call from now with this text in its name fails.
    pub fn fail_nth(&self, n: usize, text: &str, message: &str) {
        self.hook(text, n - 1, 1, Deed::Fail(message.into()));
    }

    /// All calls with this text in their names fail, until [`heal`](Self::heal).
    pub fn fail_always(&self, text: &str, message: &str) {
        self.hook(text, 0, usize::MAX, Deed::Fail(message.into()));
    }

    /// The next call with this text in its name is done, but its answer is lost: it fails with this message.
    pub fn lose_answer(&self, text: &str, message: &str) {
        self.hook(text, 0, 1, Deed::Lose(message.into()));
    }

    /// The next call with this text in its name waits until it is released.
    pub fn hold(&self, text: &str) -> Arc<Hold> {
        self.hold_as(text, Deed::Hold)
    }

    /// The answer to the next call with this text in its name waits until it is released.
    pub fn hold_answer(&self, text: &str) -> Arc<Hold> {
        self.hold_as(text, Deed::HoldAnswer)
    }

    fn hold_as(&self, text: &str, deed: fn(Arc<Hold>) -> Deed) -> Arc<Hold> {
        let hold = Arc::new(Hold { here: Semaphore::new(0), go: Semaphore::new(0) });
        self.hook(text, 0, 1, deed(hold.clone()));
        hold
    }

    /// From now on all goes well.
    pub fn heal(&self) {
        self.hooks.lock().unwrap().clear();
    }

    fn hook(&self, text: &str, skip: usize, times: usize, deed: Deed) {
        self.hooks.lock().unwrap().push(Hook { text: text.into(), skip, times, deed });
    }

    fn deed(&self, call: &str) -> Option<Deed> {
        let mut hooks = self.hooks.lock().unwrap();
        let hook = hooks.iter_mut().find(|hook| hook.times > 0 && call.contains(&hook.text))?;
        if hook.skip > 0 {
            hook.skip -= 1;
            return None;
        }
        hook.times -= 1;
        Some(hook.deed.clone())
    }

    /// Makes a call of this name, unless the test has something else in mind for it.
    pub(super) async fn named<T>(
        &self,
        call: String,
        act: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        // A call to the host is where the other requests of an instance get their turn.
        yield_now().await;
        let deed = self.deed(&call);
        self.calls.lock().unwrap().push(call);
        match deed {
            Some(Deed::Fail(message)) => return Err(message),
            Some(Deed::Lose(message)) => return act.await.and(Err(message)),
            Some(Deed::Hold(hold)) => hold.wait().await,
            Some(Deed::HoldAnswer(hold)) => {
                let done = act.await;
                hold.wait().await;
                return done;
            }
            None => {}
        }
        let done = act.await;
        yield_now().await;
        done
    }
}
