//! The disk is full, or can only be read.

use std::path::Path;
use tests::{Disk, Fault, Mode, Scene, Shop, as_root, own, say, seed, text, unique};

own!(
    while_the_disk_is_full_orders_are_refused_and_nothing_is_half_done,
    while_the_files_cannot_be_written_orders_are_refused_and_nothing_is_half_done,
    whatever_the_disk_does_the_books_balance,
);

/// In MB.
const SIZE: u32 = 64;

fn disk() -> Option<Disk> {
    let disk = Disk::mount(SIZE);
    if disk.is_none() {
        say("skipped: it has to mount a tmpfs, and this process may not");
    }
    disk
}

fn while_the_disk_is_full_orders_are_refused_and_nothing_is_half_done(mode: Mode) {
    let Some(disk) = disk() else { return };
    let shop = Shop::start(mode).disk(disk).open();
    let disk = shop.disk().unwrap();
    refused_while(&shop, || disk.fill(), || disk.free());
}

/// `chmod` does not stop root, and a disk cannot be mounted read-only while the database is open. But ext4 and others keep
/// an immutable file from being written, also by those who have it open already.
fn while_the_files_cannot_be_written_orders_are_refused_and_nothing_is_half_done(mode: Mode) {
    let shop = Shop::start(mode).open();
    shop.get("/orders").is(200);
    let files = ["", "-wal"].map(|end| format!("{}{end}", shop.database().display()));
    let probe = shop.folder().join("probe");
    std::fs::write(&probe, "").unwrap();
    if !set_immutable(&probe, true) || std::fs::write(&probe, "").is_ok() {
        return say("skipped: this process cannot make a file immutable here");
    }
    set_immutable(&probe, false);
    let set_all = |immutable| {
        for file in &files {
            assert!(set_immutable(Path::new(file), immutable), "{file}");
        }
    };
    refused_while(&shop, || set_all(true), || set_all(false));
}

fn set_immutable(file: &Path, immutable: bool) -> bool {
    let change = if immutable { "+i" } else { "-i" };
    as_root("chattr").arg(change).arg(file).output().is_ok_and(|output| output.status.success())
}

/// Orders are refused while this lasts, leaving no trace; and the same orders are placed afterwards.
fn refused_while(shop: &Shop, begin: impl Fn(), end: impl Fn()) {
    let kit = shop.kit(50);
    let order = shop.order_under_way(&kit, 1);
    shop.come_to_rest().unwrap();
    let head = shop.events_after(0).last().unwrap().seq();

    begin();
    let place = |number: usize| {
        let body = Shop::order_body(&kit, &format!("{}-{number}", order.member), 1);
        shop.call("POST", "/orders").json(&body).header("idempotency-key", &format!("{}-{number}", order.id)).send()
    };
    for number in 0..10 {
        place(number).problem(503);
        // Reading goes on.
        assert_eq!(shop.status(&order.id), "delivery_requested");
    }
    assert_eq!(shop.events_after(head), []);
    shop.cancel(&order.id).problem(503);
    let registration = tests::json!({"seller_id": unique("seller"), "name": "Kit", "price": 1, "stock": 1});
    shop.post("/products", &registration).problem(503);
    end();

    for number in 0..10 {
        let id = text(&place(number).is(201)["id"]);
        shop.wait_for(&id, &tests::UNDER_WAY);
    }
    shop.cancel(&order.id).is(200);
    shop.audit().assert_balanced(11);
}

fn whatever_the_disk_does_the_books_balance(mode: Mode) {
    let Some(disk) = disk() else { return };
    let mut scene = Scene::open(Shop::start(mode).disk(disk), seed());
    for fault in [Fault::DiskFull, Fault::DiskReadOnly, Fault::DiskFull] {
        scene.strike(fault);
    }
    scene.end().assert_balanced(20);
}
