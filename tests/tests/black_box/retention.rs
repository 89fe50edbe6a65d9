//! The steps of docs/retention.md: the log's prefix goes elsewhere and comes back, and nobody misses it unawares.

use rusqlite::{Connection, params};
use std::time::Duration;
use tests::{Json, Mode, Shop, UNDER_WAY, eventually, json, own};

own!(the_prefix_of_the_log_is_archived_and_restored);

fn the_prefix_of_the_log_is_archived_and_restored(mode: Mode) {
    let shop = Shop::start(mode).open();
    let kit = shop.kit(20);
    let orders: Vec<_> = (0..5).map(|_| shop.order_under_way(&kit, 1)).collect();
    let pages = || orders.iter().map(|order| shop.get(&format!("/mypages/{}", order.id)).is(200)).collect::<Vec<_>>();
    let before = pages();
    let database = Connection::open(shop.database()).expect("the shop's SQLite file");
    database.busy_timeout(Duration::from_secs(10)).expect("a time-out");
    let end = eventually("everybody at the end", || {
        let answer = shop.act("/catch-up").is(200);
        let read =
            "SELECT min(position), (SELECT max(seq) FROM event) FROM consumer WHERE name <> 'customer-center-rebuild'";
        let (read, end): (i64, i64) =
            database.query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("where everybody stands");
        if read == end { Ok(end) } else { Err(answer) }
    });

    let mut archive: Vec<Json> = vec![];
    loop {
        let after = archive.last().map_or(0, |event| event["sequence"].as_i64().expect("a number"));
        let page = shop.get(&format!("/events?limit=100&after={after}")).is(200);
        archive.extend(page["items"].as_array().expect("items").clone());
        if page["next"].is_null() {
            break;
        }
    }
    assert_eq!(archive.len() as i64, end);

    let delete = "DELETE FROM event WHERE seq <= ?";
    assert!(database.execute(delete, [end]).is_err(), "nothing goes that is not marked");
    database.execute("UPDATE log_archive SET archived_to = ?1 WHERE archived_to < ?1", [end]).expect("the mark");
    // Who is whom is asked of the log at every request, so that part of it stays.
    let kept = archive.iter().filter(|event| event["source"] == "/mealkit/member").count() as i64;
    assert!(kept > 0, "at least a key that signs tokens");
    assert_eq!(database.execute(delete, [end]).expect("the deletion") as i64, end - kept);

    // The shop goes on, with the old orders as well as with new ones.
    assert_eq!(pages(), before);
    shop.act(&format!("/orders/{}/cancel", orders[0].id)).is(200);
    let new = shop.order_under_way(&kit, 1);
    shop.wait_for(&new.id, &UNDER_WAY);
    eventually("the cancelled order's kits are back", || match shop.stock(&kit) {
        15 => Ok(()),
        stock => Err(stock),
    });
    let gone = shop.get(&format!("/events?after={}", end - 1)).is(410);
    assert_eq!(gone["archived_to"], end);
    let left = shop.get("/events").is(200);
    let left = left["items"].as_array().expect("items").iter().filter(|event| event["source"] != "/mealkit/member");
    assert!(left.map(|event| event["sequence"].as_i64()).all(|seq| seq > Some(end)));
    let refused = shop.act("/mypages/rebuild").is(409);
    assert_eq!(refused["type"], "/problems/archived");

    let restore =
        "INSERT OR IGNORE INTO event (seq, id, source, type, version, subject, time, correlation_id, causation_id, traceparent,
                authtype, authid, data)
        SELECT value ->> 'sequence', value ->> 'id', value ->> 'source', value ->> 'type',
               coalesce(substr(value ->> 'dataschema', length(rtrim(value ->> 'dataschema', '0123456789')) + 1), 1),
               value ->> 'subject', value ->> 'time', value ->> 'correlationid', value ->> 'causationid', value ->> 'traceparent',
               value ->> 'authtype', value ->> 'authid', value -> 'data'
        FROM json_each(?)";
    database.execute(restore, params![json!(archive).to_string()]).expect("the events");
    database.execute("UPDATE log_archive SET archived_to = 0", []).expect("the mark");
    // Whatever still follows from the cancellation has happened by then.
    shop.act("/catch-up").is(200);
    let shown = pages();
    shop.act("/mypages/rebuild").is(200);
    assert_eq!(pages(), shown, "a rebuild from the restored log comes to the same");
    assert_eq!(shop.get("/events?after=0&limit=1").is(200)["items"][0], archive[0]);
}
