//! Who holds a token, and what they may do with it.

use crate::tally::Tallies;
use contracts::{
    Event, MemberClosed, RolesChanged, SessionsRevoked, SigningKeyPublished, SigningKeyRetired,
    ids::{KeyId, MemberId, SellerId, SessionId},
};
use kernel::{
    Kernel, Trace,
    actor::{Actor, Member, Role},
    http::{Access, Answer, Routes},
    testing::{App, KEY, Native, Reply, authorization, bearer, claims, person, service},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use token::{Claims, SigningKey, base64url, sign};

/// A route for each kind of access. Each says who came in.
fn routes(_: Arc<Kernel<Tallies>>) -> Routes {
    const EACH: [(&str, Access); 8] = [
        ("/everybody", Access::Everybody),
        ("/anybody", Access::Anybody),
        ("/signed-in", Access::SignedIn),
        ("/sellers", Access::Roles(&[Role::Seller])),
        ("/recent", Access::Recent(&[Role::Operator])),
        ("/scope", Access::Scope("events")),
        ("/recent-scope", Access::RecentScope("events")),
        ("/contexts", Access::Context),
    ];
    EACH.into_iter().fold(Routes::new(), |routes, (path, access)| routes.get(path, access, who))
}

async fn who(Trace { actor, .. }: Trace) -> Answer {
    let roles = actor.member().map(|member| member.roles.iter().map(|role| role.name()).collect::<Vec<_>>());
    let is_anonymous = actor == Actor::Anonymous;
    Answer::ok(json!({"id": actor.id(), "roles": roles, "sells": actor.sells_as(), "anonymous": is_anonymous}))
}

struct Door {
    native: Arc<Native>,
    app: App<Tallies>,
}

impl Door {
    async fn new() -> Self {
        let native = Native::new();
        Self { app: App::open(&native, routes).await, native }
    }

    /// The same for an instance that knows nothing yet.
    async fn another(&self) -> Self {
        let native = self.native.replica();
        Self { app: App::open(&native, routes).await, native }
    }

    async fn get(&self, path: &str, authorization: &str) -> Reply {
        self.app.call("GET", path, &[("authorization", authorization)], None).await
    }

    /// Somebody comes with this token.
    async fn show(&self, authorization: &str) -> Reply {
        self.get("/signed-in", authorization).await
    }

    fn happens(&self, event: impl Into<Event>) -> i64 {
        self.native.append("member", event.into())
    }

    fn publish(&self, key: &SigningKey) -> KeyId {
        let public = key.public();
        let kid = KeyId::new(public.kid());
        self.happens(SigningKeyPublished { kid: kid.clone(), public_key: public.to_string() });
        kid
    }
}

fn seller() -> Member {
    person("hana", &[Role::Seller])
}

fn signed_by(key: &SigningKey, claims: &Claims) -> String {
    format!("Bearer {}", sign(key, claims).unwrap())
}

#[track_caller]
fn assert_refused(reply: &Reply, error: &str) {
    reply.assert_problem(401, "unauthenticated");
    assert_eq!(reply.header("www-authenticate"), format!("Bearer realm=\"mealkit\", error=\"{error}\""));
}

#[tokio::test]
async fn each_access_lets_in_whom_it_names() {
    let door = Door::new().await;
    let of = |roles: &[Role]| authorization(&person("hana", roles));
    let who = [
        (String::new(), "anonymous"),
        (of(&[Role::Member]), "member"),
        (of(&[Role::Seller]), "seller"),
        (of(&[Role::Operator]), "operator"),
        (service("report", "metrics events"), "service with it"),
        (service("report", "metrics"), "service without"),
    ];
    let expected = [
        ("/everybody", [200, 200, 200, 200, 200, 200]),
        ("/anybody", [200, 200, 200, 200, 200, 200]),
        ("/signed-in", [401, 200, 200, 200, 403, 403]),
        ("/sellers", [401, 403, 200, 403, 403, 403]),
        ("/recent", [401, 403, 403, 200, 403, 403]),
        ("/scope", [401, 403, 403, 200, 200, 403]),
        ("/recent-scope", [401, 403, 403, 200, 200, 403]),
        ("/contexts", [401, 401, 401, 401, 401, 401]),
    ];
    for (path, statuses) in expected {
        for ((authorization, name), status) in who.iter().zip(statuses) {
            let reply = door.get(path, authorization).await;
            assert_eq!(reply.status, status, "{name} at {path}: {reply:?}");
            match status {
                401 => {
                    reply.assert_problem(401, "unauthenticated");
                    let wanted = if path == "/contexts" { "Mealkit-HMAC-SHA256" } else { "Bearer realm=\"mealkit\"" };
                    assert_eq!(reply.header("www-authenticate"), wanted);
                }
                403 => {
                    reply.assert_problem(403, "forbidden");
                    assert!(reply.header("www-authenticate").contains("insufficient_scope"));
                }
                _ => {}
            }
        }
    }
    // Where it does not matter who asks, nobody looks.
    assert_eq!(door.get("/everybody", "Bearer rubbish").await.status, 200);
    // Where it is asked and does not matter, whoever shows nothing good is nobody.
    assert_eq!(door.get("/anybody", "Bearer rubbish").await.body["anonymous"], true);
    assert_eq!(door.get("/anybody", &of(&[])).await.text("/id"), "hana");
    assert_eq!(door.get("/anybody", "").await.body["anonymous"], true);
}

#[tokio::test]
async fn what_cannot_be_undone_wants_a_member_who_signed_in_just_now() {
    let door = Door::new().await;
    let operator = authorization(&person("root", &[Role::Operator]));
    door.native.advance(Duration::from_secs(15 * 60));
    for path in ["/recent", "/recent-scope"] {
        assert_eq!(door.get(path, &operator).await.status, 200);
    }
    door.native.advance(Duration::from_secs(1));
    for path in ["/recent", "/recent-scope"] {
        assert_refused(&door.get(path, &operator).await, "insufficient_user_authentication");
    }
    assert_eq!(door.get("/scope", &operator).await.status, 200);
    assert_eq!(door.get("/recent-scope", &service("report", "events")).await.status, 200);
    // Nor is a sign-in that is yet to come a recent one.
    door.native.set_back(Duration::from_secs(3600));
    assert_refused(&door.get("/recent", &operator).await, "insufficient_user_authentication");
}

#[tokio::test]
async fn a_token_that_is_none_of_ours_is_not_taken() {
    let door = Door::new().await;
    let good = claims(&seller());
    let theirs = SigningKey::from_seed(&[8; 32]);
    let with = |change: fn(&mut Claims)| {
        let mut claims = good.clone();
        change(&mut claims);
        bearer(&claims)
    };
    let token = sign(&KEY, &good).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let header = |json: String| format!("Bearer {}.{}.{}", base64url::encode(json.as_bytes()), parts[1], parts[2]);
    let kid = KEY.public().kid();
    // Another key's signature under our key's name.
    let forged = sign(&theirs, &good).unwrap();
    let forged: Vec<&str> = forged.split('.').collect();
    let operator = base64url::encode(serde_json::to_string(&claims(&person("hana", &Role::ALL))).unwrap().as_bytes());
    for (what, refused) in [
        ("another key", signed_by(&theirs, &good)),
        ("another key under our key's name", format!("Bearer {}.{}.{}", parts[0], forged[1], forged[2])),
        ("claims that were not signed", format!("Bearer {}.{operator}.{}", parts[0], parts[2])),
        ("no algorithm", header(json!({"alg": "none", "typ": "at+jwt", "kid": kid}).to_string())),
        ("another algorithm", header(json!({"alg": "HS256", "typ": "at+jwt", "kid": kid}).to_string())),
        ("another type", header(json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}).to_string())),
        ("no signature", format!("Bearer {}.{}.", parts[0], parts[1])),
        ("no key's name", header(json!({"alg": "EdDSA", "typ": "at+jwt"}).to_string())),
        (
            "a key that SQL would find",
            header(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "' OR 1=1 --"}).to_string()),
        ),
        ("another issuer", with(|claims| claims.iss = "elsewhere".into())),
        ("another audience", with(|claims| claims.aud = "elsewhere".into())),
        ("expired", with(|claims| claims.exp = 1_767_258_000)),
        ("rubbish", "Bearer rubbish".to_owned()),
        ("too long", format!("Bearer {}", "a".repeat(5_000))),
    ] {
        let reply = door.show(&refused).await;
        assert_eq!(reply.status, 401, "{what}");
        assert_refused(&reply, "invalid_token");
    }
    for malformed in ["Basic aGFuYTpoYW5h", "Bearer", "Bearer ", token.as_str()] {
        assert_refused(&door.show(malformed).await, "invalid_request");
    }
    let bearer = format!("Bearer {token}");
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    assert_eq!(door.app.call("GET", "/signed-in", &twice, None).await.status, 400);
    // Nor is one from where it does not belong.
    let in_query = format!("/signed-in?access_token={token}");
    assert_eq!(door.get(&in_query, "").await.status, 401);
    let cookie = format!("access_token={token}");
    let cookie = [("authorization", ""), ("cookie", cookie.as_str())];
    assert_eq!(door.app.call("GET", "/signed-in", &cookie, None).await.status, 401);
    // The scheme is a word of any case (RFC 9110, section 11.1).
    assert_eq!(door.show(&format!("bEARER  {token}")).await.status, 200);
}

#[tokio::test]
async fn a_remembered_token_ends_when_it_says_so() {
    let door = Door::new().await;
    let token = bearer(&Claims { exp: 1_767_258_600, ..claims(&seller()) });
    door.native.advance(Duration::from_secs(599));
    assert_eq!(door.show(&token).await.status, 200);
    door.native.advance(Duration::from_secs(1));
    assert_refused(&door.show(&token).await, "invalid_token");
}

#[tokio::test]
async fn keys_come_and_go_with_the_log() {
    let door = Door::new().await;
    let (old, new) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
    let [by_old, by_new] = [&old, &new].map(|key| signed_by(key, &claims(&seller())));
    let kid = door.publish(&old);
    assert_eq!(door.show(&by_old).await.status, 200);
    assert_refused(&door.show(&by_new).await, "invalid_token");
    door.publish(&new);
    for token in [&by_old, &by_new] {
        assert_eq!(door.show(token).await.status, 200, "both are good while one takes the other's place");
    }
    door.happens(SigningKeyRetired { kid: kid.clone() });
    for door in [&door, &door.another().await] {
        assert_refused(&door.show(&by_old).await, "invalid_token");
        assert_eq!(door.show(&by_new).await.status, 200);
    }
    // What is retired stays so.
    door.publish(&old);
    assert_refused(&door.show(&by_old).await, "invalid_token");
    // A key under another one's name is none.
    door.happens(SigningKeyPublished { kid: KeyId::new("mine"), public_key: old.public().to_string() });
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "mine"}).to_string();
    let renamed = by_old.split_once('.').unwrap().1;
    let renamed = format!("Bearer {}.{renamed}", base64url::encode(header.as_bytes()));
    assert_refused(&door.show(&renamed).await, "invalid_token");
}

#[tokio::test]
async fn a_signature_is_checked_once() {
    let door = Door::new().await;
    let key = SigningKey::from_seed(&[1; 32]);
    let token = signed_by(&key, &claims(&seller()));
    let kid = door.publish(&key);
    assert_eq!(door.show(&token).await.status, 200);
    // By this the signature would not be found good any more.
    let public_key = SigningKey::from_seed(&[2; 32]).public().to_string();
    door.happens(SigningKeyPublished { kid, public_key });
    assert_eq!(door.show(&token).await.status, 200, "it is remembered");
    assert_refused(&door.another().await.show(&token).await, "invalid_token");
}

#[tokio::test]
async fn a_session_that_is_over_ends_with_the_next_request() {
    let door = Door::new().await;
    let ended = |id: &str, session: &str| SessionsRevoked {
        member_id: MemberId::new(id),
        sessions: vec![SessionId::new("another"), SessionId::new(session)],
    };
    let mine = authorization(&seller());
    assert_eq!(door.show(&mine).await.status, 200);
    door.happens(ended("hana", "another-one"));
    door.happens(ended("minsu", "session-of-hana"));
    assert_eq!(door.show(&mine).await.status, 200, "those are others");
    door.happens(ended("hana", "session-of-hana"));
    for door in [&door, &door.another().await] {
        assert_refused(&door.show(&mine).await, "invalid_token");
    }
    let next = Member { session: SessionId::new("next"), ..seller() };
    assert_eq!(door.show(&authorization(&next)).await.status, 200);
}

#[tokio::test]
async fn a_services_token_can_be_revoked() {
    let door = Door::new().await;
    let token = service("report", "events");
    assert_eq!(door.get("/scope", &token).await.text("/id"), "report");
    let sessions = vec![SessionId::new("session-of-report")];
    door.happens(SessionsRevoked { member_id: MemberId::new("report"), sessions });
    assert_refused(&door.get("/scope", &token).await, "invalid_token");
}

#[tokio::test]
async fn roles_are_what_they_are_by_now_and_not_what_an_older_token_says() {
    let door = Door::new().await;
    let token = authorization(&seller());
    let changed = |id: &str, roles: &[&str], seller: Option<&str>| RolesChanged {
        member_id: MemberId::new(id),
        roles: roles.iter().map(ToString::to_string).collect(),
        seller_id: seller.map(SellerId::new),
    };
    let reply = door.get("/sellers", &token).await;
    assert_eq!((reply.status, reply.text("/sells")), (200, "seller-1"));
    door.happens(changed("minsu", &["member"], None));
    assert_eq!(door.get("/sellers", &token).await.status, 200, "that was another's");
    door.happens(changed("hana", &["seller"], Some("seller-2")));
    assert_eq!(door.get("/sellers", &token).await.text("/sells"), "seller-2");
    let seq = door.happens(changed("hana", &["member", "astronaut"], None));
    assert_eq!(door.get("/sellers", &token).await.status, 403);
    assert_eq!(door.show(&token).await.body["roles"], json!(["member"]));
    // A token that was made when that was known says what came of it.
    let later = bearer(&Claims { seq, ..claims(&seller()) });
    assert_eq!(door.get("/sellers", &later).await.status, 200);
    door.happens(changed("hana", &["operator"], None));
    for token in [&token, &later] {
        assert_eq!(door.get("/recent", token).await.status, 200);
    }
}

#[tokio::test]
async fn who_has_left_is_not_let_in() {
    let door = Door::new().await;
    let token = authorization(&seller());
    assert_eq!(door.show(&token).await.status, 200);
    door.happens(MemberClosed { member_id: MemberId::new("hana") });
    for door in [&door, &door.another().await] {
        assert_refused(&door.show(&token).await, "invalid_token");
    }
}

#[tokio::test]
async fn to_know_who_asks_costs_one_statement() {
    let door = Door::new().await;
    let token = authorization(&seller());
    for _ in 0..2 {
        for (path, authorization, statements) in [
            ("/everybody", &token, 0),
            ("/anybody", &String::new(), 0),
            ("/signed-in", &token, 1),
            ("/signed-in", &String::new(), 0),
        ] {
            let before = door.native.calls("");
            door.get(path, authorization).await;
            assert_eq!(door.native.calls("") - before, statements, "{path}");
        }
    }
    let plans = door.native.plans("SigningKeyPublished");
    let searches = plans.iter().filter(|(step, _)| step.contains("SEARCH event USING INDEX event_subject (subject=?"));
    assert_eq!(searches.count(), 2, "{plans:#?}");
    assert_eq!(door.native.scans(), []);
}

#[tokio::test]
async fn while_the_log_cannot_be_asked_nobody_is_turned_away_for_good() {
    let door = Door::new().await;
    door.native.fail("SigningKeyPublished", "database or disk is full");
    let reply = door.show(&authorization(&seller())).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(door.show(&authorization(&seller())).await.status, 200);
}
