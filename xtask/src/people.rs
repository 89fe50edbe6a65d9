//! Who is in the shop that `up` runs: some people with passwords, and the key that its tokens are signed with. Both are made
//! at the first start, and kept beside the databases that know them.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    net::{SocketAddr, ToSocketAddrs},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use token::{Claims, Role, SigningKey, base64url};

use crate::{
    client::{Client, by, get, post, put},
    console::{print, say},
    project::Project,
};

/// Name, and what they are. The operator comes first: they give the others their roles.
const CAST: [(&str, Role); 5] = [
    ("operator", Role::Operator),
    ("seller", Role::Seller),
    ("courier", Role::Courier),
    ("hana", Role::Member),
    ("minjun", Role::Member),
];
/// For whom the seller sells.
pub const SELLER: &str = "seller-1";

/// What is kept beside the databases.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    /// The variable `signing_key`: who has it can say to be anybody.
    pub signing_key: String,
    /// Where the shop listened last.
    pub address: SocketAddr,
    people: BTreeMap<String, Credentials>,
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Clone, Serialize, Deserialize)]
struct Credentials {
    role: Role,
    email: String,
    password: String,
}

/// Somebody who has signed in.
pub struct Person {
    /// What they are called.
    pub name: &'static str,
    /// What they are.
    pub role: Role,
    /// Their access token.
    pub token: String,
    credentials: Credentials,
    id: String,
}

impl Kept {
    /// What is kept beside these databases; made, if there is nothing.
    pub fn open(state: &Path, address: SocketAddr) -> Result<Self> {
        let kept = match Self::read(state)? {
            Some(kept) => Self { address, ..kept },
            None => Self { signing_key: random()?, address, people: BTreeMap::new(), path: path_in(state) },
        };
        kept.save()?;
        Ok(kept)
    }

    fn read(state: &Path) -> Result<Option<Self>> {
        let path = path_in(state);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let kept: Self = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Some(Self { path, ..kept }))
    }

    /// Only its owner may read it. It is replaced as a whole, so that a kill leaves the old one.
    fn save(&self) -> Result<()> {
        let folder = self.path.parent().context("the file has no folder")?;
        fs::create_dir_all(folder)?;
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        Ok(fs::rename(&fresh, &self.path)?)
    }
}

fn path_in(state: &Path) -> PathBuf {
    state.join("xtask.json")
}

/// 32 bytes that nobody can guess, in base64url: a code, a password, the seed of a key.
pub fn random() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(base64url::encode(&bytes))
}

/// A token that a signing key makes, for whom nobody has to sign in: it says what `claims` adds, for a day.
pub fn mint(signing_key: &str, id: &str, claims: impl FnOnce(Claims) -> Claims) -> Result<String> {
    let key = SigningKey::parse(signing_key).context("the variable signing_key is no key")?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    Ok(token::sign(&key, &claims(Claims::new(id, id, now, now + 24 * 60 * 60)))?)
}

/// Has the shop publish the key that it was given: no context takes a token before.
pub async fn publish_key(address: SocketAddr) -> Result<()> {
    Client::connect(address).await?.send(get("/.well-known/jwks.json")?).await?.json()?;
    Ok(())
}

/// Signs everybody in, after having signed up who is not there yet; the operator is the shop's first, by this code. Nobody,
/// if the shop has such accounts, or an operator, of whom nothing is kept here.
pub async fn gather(client: &mut Client, kept: &mut Kept, code: &str) -> Result<Option<Vec<Person>>> {
    if !kept.people.is_empty() {
        say(format!("The people are those of an earlier start; their passwords are kept in {}.", kept.path.display()));
    }
    let mut people: Vec<Person> = Vec::new();
    for (name, role) in CAST {
        let known = kept.people.get(name).cloned();
        let credentials = match &known {
            Some(credentials) => credentials.clone(),
            None => Credentials { role, email: format!("{name}@mealkit.example"), password: random()? },
        };
        kept.people.insert(name.to_owned(), credentials.clone());
        // Before they sign up, so that no account is left whose password nobody knows.
        kept.save()?;
        let signed_in = match &known {
            Some(_) => sign_in(client, &credentials).await?,
            None => None,
        };
        let (id, token) = match signed_in {
            Some(it) => it,
            None => {
                if let Some(refusal) = sign_up(client, name, &credentials, code).await? {
                    kept.people.remove(name);
                    kept.save()?;
                    say(format!(
                        "Nobody was signed up, and nothing seeded; {} is not taken: {refusal}",
                        credentials.email
                    ));
                    return Ok(None);
                }
                sign_in(client, &credentials).await?.with_context(|| format!("{name} could not sign in"))?
            }
        };
        // Every time: the last start may have been ended before it came to this. Who has the role already keeps it.
        if let (Some(operator), Role::Seller | Role::Courier) = (people.first(), role) {
            let seller = (role == Role::Seller).then_some(SELLER);
            let roles = put(&format!("/members/{id}/roles"), &json!({"roles": [role], "seller_id": seller}))?;
            client.send(by(&operator.token, roles)?).await?.json()?;
        }
        people.push(Person { name, role, token, credentials, id });
    }
    Ok(Some(people))
}

/// Why not, if the shop knows them already, or had its first operator.
async fn sign_up(client: &mut Client, name: &str, credentials: &Credentials, code: &str) -> Result<Option<String>> {
    let Credentials { role, email, password } = credentials;
    let code = (*role == Role::Operator).then_some(code);
    let body = json!({"email": email, "password": password, "name": name, "first_operator": code});
    let answer = client.send(post("/members", &body)?).await?;
    if matches!(answer.status, StatusCode::CONFLICT | StatusCode::FORBIDDEN) {
        return Ok(Some(String::from_utf8_lossy(&answer.body).into_owned()));
    }
    answer.json().with_context(|| format!("{email} could not sign up"))?;
    Ok(None)
}

/// Their id and a token, if they have an account with this password.
async fn sign_in(client: &mut Client, credentials: &Credentials) -> Result<Option<(String, String)>> {
    let body = json!({"email": credentials.email, "password": credentials.password});
    let answer = client.send(post("/sessions", &body)?).await?;
    if answer.status == StatusCode::UNAUTHORIZED {
        return Ok(None);
    }
    let grant = answer.json().with_context(|| format!("{} could not sign in", credentials.email))?;
    let text = |field: &str| grant.get(field).and_then(Value::as_str).map(str::to_owned);
    let found = text("member_id").zip(text("access_token"));
    found.context("the answer to POST /sessions has no access token").map(Some)
}

/// Says who is there, and how curl is them.
pub fn introduce(people: &[Person], address: SocketAddr) {
    say(
        "\nPeople, and how curl is them (a token is good for 10 minutes; `cargo xtask token --role …` prints a new one):",
    );
    for Person { name, credentials: Credentials { email, password, .. }, token, id, .. } in people {
        print(format!(
            "\n{name}: {email} {password} (id {id})\n\
             curl -s http://{address}/members/me -H 'authorization: Bearer {token}'"
        ));
    }
}

/// Print an access token.
#[derive(Args)]
pub struct Token {
    /// Of whom: member, seller, courier or operator
    #[arg(long, value_parser = role)]
    role: Role,
    /// Where the shop answers; where `up` started it last, if it is not given
    #[arg(long)]
    url: Option<Uri>,
    /// Where its databases are, as it was given to `up`
    #[arg(long)]
    state_dir: Option<PathBuf>,
}

impl Token {
    /// Signs in, and prints the token and nothing else.
    pub async fn run(self, project: &Project) -> Result<()> {
        let state = self.state_dir.unwrap_or_else(|| project.state());
        let kept = Kept::read(&state)?;
        let kept = kept.with_context(|| format!("nobody is known in {}: cargo xtask up --seed", state.display()))?;
        let somebody = CAST.iter().filter(|(_, role)| *role == self.role).find_map(|(name, _)| kept.people.get(*name));
        let somebody = somebody.context("the shop was started without people: cargo xtask up --seed")?;
        let address = self.url.as_ref().map_or(Ok(kept.address), address_of)?;
        let mut client = Client::connect(address).await?;
        let signed_in = sign_in(&mut client, somebody).await?;
        let (_, token) = signed_in.with_context(|| {
            format!("the shop at {address} does not know {}: cargo xtask up --seed", somebody.email)
        })?;
        print(token);
        Ok(())
    }
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| format!("the roles are {}", Role::ALL.map(Role::name).join(", ")))
}

fn address_of(url: &Uri) -> Result<SocketAddr> {
    ensure!(url.scheme_str() == Some("http"), "--url {url}: write it as http://host:port");
    let host = url.host().context("--url has no host")?.trim_matches(['[', ']']);
    let mut found = (host, url.port_u16().unwrap_or(80)).to_socket_addrs()?;
    found.next().with_context(|| format!("--url {url}: {host} is not known"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_stays_and_is_its_owners() {
        let state = tempfile::tempdir().unwrap();
        let (one, other) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        assert!(Kept::read(state.path()).unwrap().is_none());
        let first = Kept::open(state.path(), one).unwrap();
        let second = Kept::open(state.path(), other).unwrap();
        assert_eq!((&first.signing_key, second.address), (&second.signing_key, other));
        let mode = fs::metadata(path_in(state.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_minted_token_is_taken_by_the_key() {
        let seed = random().unwrap();
        let token = mint(&seed, "cron", |claims| Claims { scope: Some("catch-up".into()), ..claims }).unwrap();
        let key = SigningKey::parse(&seed).unwrap().public();
        let claims = token::Unverified::parse(&token).unwrap().verify(&key, 0).unwrap();
        assert_eq!((claims.sub.as_str(), claims.scope.as_deref()), ("cron", Some("catch-up")));
        assert_ne!(seed, random().unwrap());
    }

    #[test]
    fn an_url_says_host_and_port() {
        let address = |url: &str| address_of(&url.parse().unwrap());
        assert_eq!(address("http://127.0.0.1:4000").unwrap(), "127.0.0.1:4000".parse().unwrap());
        assert_eq!(address("http://[::1]:4000/").unwrap(), "[::1]:4000".parse().unwrap());
        assert!(address("https://127.0.0.1").is_err());
    }
}
