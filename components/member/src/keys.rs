//! The keys: the secret that all that is kept of people follows from, and those that sign tokens. They are made when they
//! are first needed, by whichever instance comes first, unless the deployment gives them.

use crate::{
    Members,
    domain::{Decided, Desk, Refusal},
    secrets::{Secrets, random},
    store::DeskKey,
};
use contracts::{
    SigningKeyPublished, SigningKeyRetired,
    ids::{KeyId, MemberId},
};
use kernel::{
    Error, Failure, Kernel, Trace,
    http::Problem,
    log_line::{self, Level},
    platform::{Platform, unix_ms},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Arc, Mutex};
use token::{PublicKey, SigningKey, base64url};

/// The id of the one ring.
pub const RING: &str = "ring";
/// For how long an access token is good, in s.
pub const LIFE: i64 = 600;
/// How long an instance uses the keys without looking for newer ones, in ms.
const KEPT: u64 = 30_000;
/// For how long after the next key was published a key may still have signed something, in s.
const STRAGGLERS: i64 = 120;

/// All keys, in one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    pub id: String,
    /// The secret, where the deployment gives none.
    master: String,
    /// Those that sign tokens, or did: the last one does.
    keys: Vec<Key>,
    /// Who came with the code for the first operator, which is good once.
    #[serde(default)]
    pub first_operator: Option<MemberId>,
}

/// A key that signs tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    kid: KeyId,
    public_key: String,
    /// Sealed; none when the deployment gives it.
    seed: Option<String>,
    /// When the next one was published (Unix time, s).
    superseded_at: Option<i64>,
    /// Until when a service's token is good that it signed (Unix time, s).
    until: i64,
    retired: bool,
}

/// The keys as they are used.
pub struct Keys {
    pub secrets: Secrets,
    pub signing: SigningKey,
}

/// The context in one instance, with its keys.
pub struct Office {
    pub kernel: Arc<Kernel<Members>>,
    kept: Mutex<Option<(i64, Arc<Keys>)>>,
}

/// A key that may be needed.
struct Fresh {
    master: String,
    key: SigningKey,
    seed: String,
}

impl Office {
    pub fn new(kernel: Arc<Kernel<Members>>) -> Arc<Self> {
        Arc::new(Self { kernel, kept: Mutex::default() })
    }

    /// Now (Unix time, ms).
    pub fn now(&self) -> i64 {
        unix_ms(self.kernel.platform().now())
    }

    /// The keys.
    ///
    /// # Errors
    /// When the database cannot be used, or the platform has no random bytes.
    pub async fn keys(&self) -> Result<Arc<Keys>, Problem> {
        let now = self.now();
        if let Some((at, keys)) = self.kept.lock().ok().and_then(|kept| kept.clone())
            && now.abs_diff(at) < KEPT
        {
            return Ok(keys);
        }
        let keys = Arc::new(self.open(now / 1_000).await?);
        if let Ok(mut kept) = self.kept.lock() {
            *kept = Some((now, keys.clone()));
        }
        Ok(keys)
    }

    /// The next key signs from now on.
    ///
    /// # Errors
    /// Those of [`keys`](Self::keys).
    pub async fn rotate(&self, trace: &Trace) -> Result<Arc<Keys>, Problem> {
        let keys = self.keys().await?;
        let fresh = fresh(Some(&keys.secrets))?;
        let now = self.now() / 1_000;
        let given = given_key(&**self.kernel.platform()).await?;
        if given.is_some() {
            let detail = "The key is the deployment's: change its secret `signing_key`.";
            return Err(Problem::conflict("key-given", detail));
        }
        let publish = |desk: &Desk| publish(desk, &fresh, None, true, now);
        self.kernel.conclude(&DeskKey::ring(), trace, None, publish).await?;
        if let Ok(mut kept) = self.kept.lock() {
            *kept = None;
        }
        self.keys().await
    }

    /// A service's token is good until then: so is the key that signed it.
    ///
    /// # Errors
    /// Those of a command.
    pub async fn outlive(&self, kid: &str, until: i64, trace: &Trace) -> Result<(), Failure<Refusal>> {
        let outlive = |desk: &Desk| {
            let mut next = desk.clone();
            let keys = next.ring.iter_mut().flat_map(|ring| &mut ring.keys);
            keys.filter(|key| key.kid.as_str() == kid).for_each(|key| key.until = key.until.max(until));
            Ok((next, vec![]))
        };
        self.kernel.conclude(&DeskKey::ring(), trace, None, outlive).await?;
        Ok(())
    }

    /// The public keys that tokens are verified with.
    ///
    /// # Errors
    /// Those of [`keys`](Self::keys).
    pub async fn public(&self) -> Result<Vec<PublicKey>, Problem> {
        self.keys().await?;
        let ring = self.kernel.find::<Ring>(&RING.to_owned()).await?;
        let keys = ring.into_iter().flat_map(|ring| ring.value.keys).filter(|key| !key.retired);
        Ok(keys.filter_map(|key| PublicKey::parse(&key.public_key).ok()).collect())
    }

    async fn open(&self, now: i64) -> Result<Keys, Problem> {
        let platform = &**self.kernel.platform();
        let given_master = variable(platform, "member_secret").await;
        let given = given_key(platform).await?;
        let mut ring = self.kernel.find::<Ring>(&RING.to_owned()).await?.map(|ring| ring.value);
        let is_current = |ring: &Ring| {
            ring.keys.last().is_some_and(|key| match &given {
                Some(given) => key.kid.as_str() == given.public().kid(),
                None => key.seed.is_some(),
            })
        };
        if !ring.as_ref().is_some_and(is_current) {
            let made = ring.as_ref().map(|ring| ring.master.clone());
            let master = given_master.clone().or(made);
            let fresh = fresh(master.map(|master| Secrets::new(&master)).as_ref())?;
            let publish = |desk: &Desk| publish(desk, &fresh, given.as_ref(), false, now);
            let done = self.kernel.conclude(&DeskKey::ring(), &Trace::own(), None, publish).await?;
            ring = done.state.value.ring;
        }
        let missing = || Problem::from(Error::Missing("the ring of keys"));
        let ring = ring.ok_or_else(missing)?;
        let secrets = Secrets::new(given_master.as_ref().unwrap_or(&ring.master));
        let signing = match given {
            Some(given) => given,
            None => {
                let seed = ring.keys.last().and_then(|key| secrets.open(key.seed.as_deref()?)).ok_or_else(missing)?;
                SigningKey::parse(&seed).map_err(|_| missing())?
            }
        };
        Ok(Keys { secrets, signing })
    }
}

async fn variable(platform: &dyn Platform, name: &str) -> Option<String> {
    platform.variable(name).await.filter(|text| !text.is_empty())
}

async fn given_key(platform: &dyn Platform) -> Result<Option<SigningKey>, Problem> {
    let Some(seed) = variable(platform, "signing_key").await else { return Ok(None) };
    SigningKey::parse(&seed).map(Some).map_err(|_| {
        let detail = "Nobody can be signed in at the moment.";
        Problem::unavailable("misconfigured", detail, 60).caused_by("the variable `signing_key` is no key")
    })
}

fn fresh(secrets: Option<&Secrets>) -> Result<Fresh, Problem> {
    let random_text = || Ok::<_, getrandom::Error>(base64url::encode(&random::<32>()?));
    let make = || {
        let (master, seed) = (random_text()?, random_text()?);
        let sealed = secrets.unwrap_or(&Secrets::new(&master)).seal(&seed)?;
        Ok::<_, getrandom::Error>((master, seed, sealed))
    };
    let failed = |error: String| {
        Problem::unavailable("no-randomness", "Nobody can be signed in at the moment.", 5).caused_by(error)
    };
    let (master, seed, sealed) = make().map_err(|error| failed(error.to_string()))?;
    let key = SigningKey::parse(&seed).map_err(|error| failed(error.to_string()))?;
    Ok(Fresh { master, key, seed: sealed })
}

/// Publishes the key that is given, or a fresh one where none can be used, or another is wanted. Pure.
fn publish(desk: &Desk, fresh: &Fresh, given: Option<&SigningKey>, another: bool, now: i64) -> Decided {
    let mut ring = desk.ring.clone().unwrap_or_else(|| Ring {
        id: RING.to_owned(),
        master: fresh.master.clone(),
        keys: vec![],
        first_operator: None,
    });
    let public = given.map_or_else(|| fresh.key.public(), SigningKey::public);
    let kid = KeyId::new(public.kid());
    let is_there = ring.keys.last().is_some_and(|key| match given {
        Some(_) => key.kid == kid,
        // Another instance was faster, and made one that is as good.
        None => key.seed.is_some() && !another,
    });
    if is_there {
        return Ok((desk.clone(), vec![]));
    }
    ring.keys.retain(|key| key.kid != kid);
    if let Some(before) = ring.keys.last_mut() {
        before.superseded_at.get_or_insert(now);
    }
    ring.keys.push(Key {
        kid: kid.clone(),
        public_key: public.to_string(),
        seed: given.is_none().then(|| fresh.seed.clone()),
        superseded_at: None,
        until: 0,
        retired: false,
    });
    let event = SigningKeyPublished { kid, public_key: public.to_string() }.into();
    Ok((Desk { ring: Some(ring), ..desk.clone() }, vec![event]))
}

/// Retires the keys that signed nothing that is still good.
pub async fn retire(kernel: &Kernel<Members>) -> Result<(), Error> {
    let now = unix_ms(kernel.platform().now()) / 1_000;
    let is_over = |key: &Key| {
        !key.retired
            && key.until < now
            && key.superseded_at.is_some_and(|at| at.saturating_add(LIFE).saturating_add(STRAGGLERS) < now)
    };
    let ring = kernel.find::<Ring>(&RING.to_owned()).await?;
    if !ring.is_some_and(|ring| ring.value.keys.iter().any(is_over)) {
        return Ok(());
    }
    let retire = |desk: &Desk| {
        let mut next = desk.clone();
        let mut events = Vec::new();
        for key in next.ring.iter_mut().flat_map(|ring| &mut ring.keys).filter(|key| is_over(key)) {
            key.retired = true;
            key.seed = None;
            events.push(SigningKeyRetired { kid: key.kid.clone() }.into());
        }
        Ok((next, events))
    };
    match kernel.conclude(&DeskKey::ring(), &Trace::own(), None, retire).await {
        Err(Failure::Failed(error)) => Err(error),
        Err(other) => {
            log_line::write(Level::Warn, "member", "no key was retired", json!({"error": other.to_string()}));
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}
