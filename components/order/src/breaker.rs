//! The circuit breaker between order and payment. Pure; its state is kept in the key-value store.
//!
//! Closed: calls go through. After so many failures in a row it opens: no call is made, orders are refused at once.
//! When it has cooled down it is half-open: one call goes through to see, and closes or opens it again.
//! The store has no compare-and-swap, so two instances may both try at the same moment: that is two calls, no harm.

use serde::{Deserialize, Serialize};

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many failures in a row open it.
    pub failures: u64,
    /// How long it stays open, in ms.
    pub cooldown_ms: u64,
}

/// Its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// How many calls failed in a row.
    failures: u64,
    /// When it opened, or when the last try began: Unix time in ms.
    opened_at: Option<u64>,
}

/// Whether to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It is closed: call.
    Call,
    /// It is half-open: call, having written down that you do.
    Try(Breaker),
    /// It is open: do not call.
    Refuse {
        /// When it will be half-open, in ms.
        retry_after_ms: u64,
    },
}

impl Breaker {
    /// Whether to call now.
    pub fn permit(self, now: u64, settings: Settings) -> Permit {
        let Some(opened_at) = self.opened_at else { return Permit::Call };
        // A clock that was set back must not keep it open for longer than it cools down.
        let open_for = now.checked_sub(opened_at).unwrap_or(settings.cooldown_ms);
        match settings.cooldown_ms.checked_sub(open_for) {
            Some(retry_after_ms) if retry_after_ms > 0 => Permit::Refuse { retry_after_ms },
            _ => Permit::Try(Self { opened_at: Some(now), ..self }),
        }
    }

    /// What it is called as it stands now: `closed`, `open` or `half_open`.
    pub fn name(self, now: u64, settings: Settings) -> &'static str {
        match self.permit(now, settings) {
            Permit::Call => "closed",
            Permit::Try(_) => "half_open",
            Permit::Refuse { .. } => "open",
        }
    }

    /// After a call that was answered.
    pub fn succeeded(self) -> Self {
        Self::default()
    }

    /// After a call that was not.
    pub fn failed(self, now: u64, settings: Settings) -> Self {
        let failures = self.failures.saturating_add(1);
        let opens = self.opened_at.is_some() || failures >= settings.failures;
        Self { failures, opened_at: opens.then_some(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { failures: 3, cooldown_ms: 1_000 };

    fn failed(times: usize) -> Breaker {
        (0..times).fold(Breaker::default(), |breaker, _| breaker.failed(0, SETTINGS))
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row() {
        assert_eq!(failed(2).permit(0, SETTINGS), Permit::Call);
        assert_eq!(failed(3).permit(400, SETTINGS), Permit::Refuse { retry_after_ms: 600 });
        assert_eq!(failed(2).succeeded().failed(0, SETTINGS).permit(0, SETTINGS), Permit::Call);
    }

    #[test]
    fn it_lets_one_call_try_when_it_has_cooled_down() {
        let Permit::Try(trying) = failed(3).permit(1_000, SETTINGS) else { unreachable!("it has cooled down") };
        assert_eq!(trying.permit(1_001, SETTINGS), Permit::Refuse { retry_after_ms: 999 }, "the others still wait");
        assert_eq!(trying.succeeded().permit(1_001, SETTINGS), Permit::Call);
        assert_eq!(trying.failed(1_500, SETTINGS).permit(1_600, SETTINGS), Permit::Refuse { retry_after_ms: 900 });
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        let open = failed(2).failed(50_000, SETTINGS);
        assert!(matches!(open.permit(10_000, SETTINGS), Permit::Try(_)));
    }
}
