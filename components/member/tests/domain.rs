//! What becomes of accounts and sessions, whatever is asked of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use contracts::{
    Event,
    ids::{MemberId, SessionId},
};
use member::domain::{
    Account, Change, Desk, GRACE_MS, IDLE_MS, LONGEST_MS, Refresh, Refusal, Session, assign, change, close, end,
    refresh, refreshed, sign_in, sign_up,
};
use proptest::prelude::*;
use serde_json::json;
use token::Role;

fn account(email_hash: &str, roles: &[Role]) -> Account {
    serde_json::from_value(json!({
        "member_id": "member-1", "email_hash": email_hash, "email": "sealed", "name": "sealed",
        "password": {"memory": 1, "times": 1, "salt": "", "hash": ""}, "roles": roles, "seller_id": null,
        "sessions": [], "created_at": "then", "updated_at": "then",
    }))
    .unwrap()
}

fn signed_up() -> Desk {
    sign_up(&Desk::default(), &account("hash", &[Role::Member])).unwrap().0
}

fn session(number: usize) -> Session {
    let session_id = SessionId::new(format!("session-{number}"));
    Session { session_id, member_id: MemberId::new("member-1"), generation: 1, refreshed_at: 0, created_at: 0 }
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::name).collect()
}

#[test]
fn an_e_mail_is_one_account_s_until_that_is_closed() {
    let (desk, events) = sign_up(&Desk::default(), &account("hash", &[Role::Member])).unwrap();
    assert_eq!(names(&events), ["MemberRegistered"]);
    assert_eq!(sign_up(&desk, &account("hash", &[Role::Member])).unwrap_err(), Refusal::EmailTaken);
    let (signed_in, _) = sign_in(&desk, &session(1)).unwrap();
    let (closed, events) = close(&signed_in).unwrap();
    assert_eq!(names(&events), ["MemberClosed", "SessionsRevoked"]);
    assert!(closed.account().is_err() && sign_in(&closed, &session(2)).is_err());
    assert!(!serde_json::to_string(&closed.person).unwrap().contains("sealed"), "nothing is left of whoever it was");
    assert!(sign_up(&closed, &account("hash", &[Role::Member])).is_ok(), "the e-mail is free again");
}

#[test]
fn nobody_is_an_operator_by_signing_up_where_there_are_no_keys() {
    let operator = account("hash", &[Role::Member, Role::Operator]);
    assert_eq!(sign_up(&Desk::default(), &operator).unwrap_err(), Refusal::CodeUsed);
}

#[test]
fn the_oldest_of_too_many_sessions_ends() {
    let mut desk = signed_up();
    for number in 0..20 {
        let (next, events) = sign_in(&desk, &session(number)).unwrap();
        assert!(events.is_empty(), "the {number}th");
        desk = next;
    }
    let (desk, events) = sign_in(&desk, &session(20)).unwrap();
    let Some(Event::SessionsRevoked(revoked)) = events.first() else { panic!("{events:?}") };
    assert_eq!(revoked.sessions, [SessionId::new("session-0")]);
    assert_eq!(desk.account().unwrap().sessions.len(), 20);
}

#[test]
fn another_password_signs_out_everywhere_but_here_and_another_name_nowhere() {
    let desk = sign_in(&sign_in(&signed_up(), &session(1)).unwrap().0, &session(2)).unwrap().0;
    let here = Some(SessionId::new("session-2"));
    let named = Change { name: Some("sealed too".into()), here: here.clone(), ..Change::default() };
    assert!(change(&desk, &named).unwrap().1.is_empty());
    let moved = Change { email: Some(("other".into(), "sealed".into())), here, ..Change::default() };
    let (desk, events) = change(&desk, &moved).unwrap();
    let [Event::SessionsRevoked(revoked)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(revoked.sessions, [SessionId::new("session-1")]);
    assert!(sign_up(&desk, &account("hash", &[Role::Member])).is_ok(), "the old e-mail is free");
}

#[test]
fn a_seller_sells_for_themselves_unless_it_is_said() {
    let desk = signed_up();
    let (sells, events) = assign(&desk, &[Role::Seller, Role::Member, Role::Seller], None, "now").unwrap();
    let [Event::RolesChanged(changed)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(changed.roles, ["member", "seller"]);
    assert_eq!(changed.seller_id.as_ref().unwrap().as_str(), "member-1");
    assert!(
        assign(&sells, &[Role::Member, Role::Seller], None, "later").unwrap().1.is_empty(),
        "they are that already"
    );
    let (none, _) = assign(&sells, &[Role::Member], None, "later").unwrap();
    assert_eq!(none.account().unwrap().seller_id, None);
}

#[test]
fn a_session_ends_by_itself_in_the_end() {
    let desk = sign_in(&signed_up(), &session(1)).unwrap().0;
    assert_eq!(refresh(&desk, 1, IDLE_MS), Ok(Refresh::Next(2)));
    assert_eq!(refresh(&desk, 1, IDLE_MS + 1), Err(Refusal::NotRefreshed));
    let used = Session { refreshed_at: LONGEST_MS, ..session(1) };
    let desk = Desk { session: Some(used), ..desk };
    assert_eq!(refresh(&desk, 1, LONGEST_MS + 1), Err(Refusal::NotRefreshed));
    let ended = end(&desk, vec![SessionId::new("session-1")]).unwrap().0;
    assert_eq!(refresh(&ended, 1, LONGEST_MS), Err(Refusal::NotRefreshed));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever uses which refresh token when: the newest gives the next one; the one before gives the same again, for a
    /// moment; anything older ends the session, and from then on none gives anything.
    #[test]
    fn of_all_refresh_tokens_one_is_good(uses in prop::collection::vec((0_u64..6, 0_i64..2 * GRACE_MS), 1..30)) {
        let mut desk = sign_in(&signed_up(), &session(1)).unwrap().0;
        let (mut newest, mut made_at, mut now, mut ended) = (1_u64, 0_i64, 0_i64, false);
        for (back, later) in uses {
            now += later;
            let Some(used) = newest.checked_sub(back).filter(|used| *used > 0) else { continue };
            let outcome = refreshed(&desk, used, now);
            if ended {
                prop_assert_eq!(outcome.unwrap_err(), Refusal::NotRefreshed);
                continue;
            }
            let (next, events) = outcome.unwrap();
            match back {
                0 => (newest, made_at) = (newest + 1, now),
                1 if now - made_at <= GRACE_MS => {}
                _ => ended = true,
            }
            prop_assert_eq!(names(&events), if ended { vec!["SessionsRevoked"] } else { vec![] });
            prop_assert_eq!(next.session.as_ref().unwrap().generation, newest);
            desk = next;
        }
    }
}
