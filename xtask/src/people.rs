//! The people of a shop that runs on this machine: the key that signs their tokens, and their accounts with passwords.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use token::{AUDIENCE, Claims, ISSUER, Role, SigningKey, base64url};

use crate::{
    client::{Call, Client, post, put},
    console::print,
    project::Project,
};

/// What somebody is, as they are called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Called {
    Member,
    Seller,
    Courier,
    Operator,
}

/// Print an access token for curl, of somebody whom `cargo xtask up --seed` has made.
#[derive(Args)]
pub struct Token {
    /// As whom
    #[arg(long, value_enum)]
    role: Called,
    /// Where the shop's databases are; `.spin` beside spin.toml if it is not given
    #[arg(long)]
    state_dir: Option<PathBuf>,
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub struct Person {
    pub email: String,
    pub password: String,
    /// Their id; of a seller also the seller's.
    pub id: String,
}

/// Mints tokens, with the key by which the shop verifies them.
pub struct Mint(SigningKey);

impl Mint {
    /// With this key (32 bytes in base64url).
    pub fn of(seed: &str) -> Result<Self> {
        Ok(Self(SigningKey::parse(seed).context("signing_key")?))
    }

    /// The header of somebody who may do this.
    pub fn authorization(&self, sub: &str, roles: &[Role], scope: Option<&str>) -> Result<HeaderValue> {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: sub.into(),
            sid: format!("xtask-{sub}"),
            jti: format!("xtask-{sub}-{now}"),
            iat: now,
            exp: now.saturating_add(24 * 3_600),
            auth_time: now,
            seq: 0,
            roles: roles.to_vec(),
            seller_id: roles.contains(&Role::Seller).then(|| sub.to_owned()),
            scope: scope.map(str::to_owned),
        };
        Ok(HeaderValue::from_str(&format!("Bearer {}", token::sign(&self.0, &claims)?))?)
    }

    /// An operator who just signed in.
    pub fn operator(&self) -> Result<HeaderValue> {
        self.authorization("xtask", &[Role::Operator], None)
    }
}

/// The call, by whoever has this header.
pub fn by(mut call: Call, authorization: &HeaderValue) -> Call {
    call.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
    call
}

/// The key of the shop with these files: made once, and readable for its owner alone.
pub fn signing_key(state: &Path) -> Result<String> {
    let path = state.join("signing-key");
    if let Ok(key) = fs::read_to_string(&path) {
        return Ok(key.trim().to_owned());
    }
    let key = random()?;
    write(&path, &key)?;
    Ok(key)
}

/// Whoever wakes the context member has it publish its key.
pub async fn wake(address: SocketAddr) -> Result<()> {
    Client::connect(address).await?.send(crate::client::get("/.well-known/jwks.json")?).await?.json()?;
    Ok(())
}

/// Signs up the people that a shop begins with, each once, and says who they are.
pub async fn settle(address: SocketAddr, mint: &Mint, state: &Path) -> Result<Vec<(Called, Person)>> {
    let wanted =
        [Called::Operator, Called::Seller, Called::Courier, Called::Member, Called::Member].into_iter().zip(1..);
    let file = state.join("people.json");
    let known: Value = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut client = Client::connect(address).await?;
    let mut people = Vec::new();
    for (called, number) in wanted {
        let email = format!("{}{}@mealkit.example", name(called), if number == 5 { "2" } else { "" });
        let kept = known.pointer(&format!("/people/{}/password", number - 1)).and_then(Value::as_str);
        let password = kept.map_or_else(random, |kept| Ok(kept.to_owned()))?;
        let body = json!({"email": email, "password": password, "name": name(called)});
        let mut call = post("/members", &body)?;
        call.headers_mut().insert("idempotency-key", HeaderValue::from_str(&format!("seed-{number}"))?);
        let member = client.send(call).await?.json().with_context(|| {
            format!("{email} was not signed up: is there an account whose password {} lacks?", file.display())
        })?;
        let id = member.get("id").and_then(Value::as_str).context("the answer has no id")?.to_owned();
        let roles = json!({"roles": [name(called)]});
        let assign = by(put(&format!("/members/{id}/roles"), &roles)?, &mint.operator()?);
        client.send(assign).await?.json()?;
        people.push((called, Person { email, password, id }));
    }
    let kept: Vec<_> = people
        .iter()
        .map(|(called, it)| json!({"role": name(*called), "email": it.email, "password": it.password, "id": it.id}))
        .collect();
    write(&file, &serde_json::to_string_pretty(&json!({"url": format!("http://{address}"), "people": kept}))?)?;
    Ok(people)
}

impl Token {
    /// Signs in, and prints the token and nothing else.
    pub async fn run(self, project: &Project) -> Result<()> {
        let state = self.state_dir.unwrap_or_else(|| project.root.join(".spin"));
        let file = state.join("people.json");
        let text = fs::read(&file)
            .with_context(|| format!("there is no {}; `cargo xtask up --seed` makes the people", file.display()))?;
        let known: Value = serde_json::from_slice(&text)?;
        let people = known.get("people").and_then(Value::as_array).context("nobody is in it")?;
        let person = people.iter().find(|it| it.get("role").and_then(Value::as_str) == Some(name(self.role)));
        let (person, url) = (person.context("nobody is that")?, known.get("url").and_then(Value::as_str));
        let address: SocketAddr = url.and_then(|url| url.strip_prefix("http://")).context("no address")?.parse()?;
        let mut client = Client::connect(address).await.context("does the shop run?")?;
        let credentials = json!({"email": person.get("email"), "password": person.get("password")});
        let grant = client.send(post("/sessions", &credentials)?).await?.json()?;
        match grant.get("access_token").and_then(Value::as_str) {
            Some(token) => print(token),
            None => bail!("the answer has no token"),
        }
        Ok(())
    }
}

fn name(called: Called) -> &'static str {
    match called {
        Called::Member => "member",
        Called::Seller => "seller",
        Called::Courier => "courier",
        Called::Operator => "operator",
    }
}

fn random() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(base64url::encode(&bytes))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).with_context(|| path.display().to_string())
}
