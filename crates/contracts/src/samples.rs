//! One event of each type, all about the same order of the same kit: what the golden files hold, and what the tests of
//! every context begin with.

use crate::{
    DeliveryCancelled, DeliveryCompleted, DeliveryRequested, Event, HandlingDelayed, HandlingResumed, Notified,
    OrderCancelled, OrderPlaced, OrderRejected, OutOfStock, PaymentCancelled, PaymentCompleted, PaymentDeclined,
    ProductModified, ProductRegistered, Recipient, StockDecreased, StockRestored,
    charge::{CardNumber, ChargeRequest, NotACardNumber},
    ids::{DeliveryId, MemberId, NotificationId, OrderId, PaymentId, ProductId, SellerId},
};

pub fn product_id() -> ProductId {
    ProductId::new("01980000-0000-7000-8000-000000000001")
}

pub fn order_id() -> OrderId {
    OrderId::new("01980000-0000-7000-8000-000000000002")
}

pub fn payment_id() -> PaymentId {
    PaymentId::new("01980000-0000-7000-8000-000000000003")
}

pub fn delivery_id() -> DeliveryId {
    DeliveryId::new("01980000-0000-7000-8000-000000000004")
}

pub fn notification_id() -> NotificationId {
    NotificationId::new("01980000-0000-7000-8000-000000000005")
}

pub fn member_id() -> MemberId {
    MemberId::new("member-1")
}

pub fn seller_id() -> SellerId {
    SellerId::new("seller-1")
}

/// Ten kits of 12,000 KRW.
pub fn product_registered() -> ProductRegistered {
    ProductRegistered {
        product_id: product_id(),
        seller_id: seller_id(),
        name: "Bibimbap for two".into(),
        description: Some("Rice, vegetables, an egg and 고추장".into()),
        price: 12_000,
        stock: 10,
        image_url: Some("https://example.com/bibimbap.jpg".into()),
    }
}

/// Dearer, and without description and picture.
pub fn product_modified() -> ProductModified {
    ProductModified {
        product_id: product_id(),
        seller_id: seller_id(),
        name: "Bibimbap for two".into(),
        description: None,
        price: 13_000,
        stock: 10,
        image_url: None,
    }
}

/// Two kits.
pub fn order_placed() -> OrderPlaced {
    OrderPlaced {
        order_id: order_id(),
        member_id: member_id(),
        seller_id: seller_id(),
        product_id: product_id(),
        product_name: "Bibimbap for two".into(),
        quantity: 2,
        unit_price: 12_000,
        amount: 24_000,
        address: "1 Sejong-daero, Seoul".into(),
        card: Some("**** 1111".into()),
        card_owner: Some("Kim Minji".into()),
    }
}

/// The card was declined.
pub fn order_rejected() -> OrderRejected {
    OrderRejected { order_id: order_id(), member_id: member_id(), reason: "card_declined".into() }
}

/// The member thought better of it.
pub fn order_cancelled() -> OrderCancelled {
    OrderCancelled { order_id: order_id(), member_id: member_id(), reason: Some("changed my mind".into()) }
}

/// What order asks of payment for it.
///
/// # Errors
/// Never: the card is good.
pub fn charge() -> Result<ChargeRequest, NotACardNumber> {
    Ok(ChargeRequest { order: order_placed(), card_number: CardNumber::parse("4111111111111111")? })
}

/// Charged.
pub fn payment_completed() -> PaymentCompleted {
    order_placed().paid(payment_id(), "A-1".into())
}

/// Not charged.
pub fn payment_declined() -> PaymentDeclined {
    order_placed().declined(payment_id(), "card_declined".into())
}

/// Given back.
pub fn payment_cancelled() -> PaymentCancelled {
    PaymentCancelled {
        payment_id: payment_id(),
        order_id: order_id(),
        member_id: member_id(),
        product_id: product_id(),
        amount: 24_000,
        reason: Some("changed my mind".into()),
    }
}

/// Two of the ten kits are taken.
pub fn stock_decreased() -> StockDecreased {
    StockDecreased { order_id: order_id(), product_id: product_id(), quantity: 2, stock: 8 }
}

/// Two were wanted, and there is one.
pub fn out_of_stock() -> OutOfStock {
    OutOfStock { order_id: order_id(), product_id: product_id(), member_id: member_id(), quantity: 2, stock: 1 }
}

/// The two are back.
pub fn stock_restored() -> StockRestored {
    StockRestored { order_id: order_id(), product_id: product_id(), quantity: 2, stock: 10 }
}

/// On its way.
pub fn delivery_requested() -> DeliveryRequested {
    DeliveryRequested {
        delivery_id: delivery_id(),
        order_id: order_id(),
        member_id: member_id(),
        address: "1 Sejong-daero, Seoul".into(),
    }
}

/// There.
pub fn delivery_completed() -> DeliveryCompleted {
    DeliveryCompleted { delivery_id: delivery_id(), order_id: order_id(), member_id: member_id() }
}

/// Called back.
pub fn delivery_cancelled() -> DeliveryCancelled {
    DeliveryCancelled {
        delivery_id: delivery_id(),
        order_id: order_id(),
        member_id: member_id(),
        reason: Some("changed my mind".into()),
    }
}

/// The seller knows that the order is paid.
pub fn notified() -> Notified {
    Notified {
        notification_id: notification_id(),
        order_id: order_id(),
        recipient: Recipient { kind: "seller".into(), id: "seller-1".into() },
        event_type: "PaymentCompleted".into(),
        message: "An order of 2 x Bibimbap for two is paid. Please prepare it.".into(),
    }
}

/// Product could not take the kits.
pub fn handling_delayed() -> HandlingDelayed {
    HandlingDelayed {
        order_id: order_id(),
        context: "product".into(),
        sequence: 17,
        event_type: "PaymentCompleted".into(),
    }
}

/// Then it could.
pub fn handling_resumed() -> HandlingResumed {
    let HandlingDelayed { order_id, context, sequence, event_type } = handling_delayed();
    HandlingResumed { order_id, context, sequence, event_type }
}

pub fn all() -> Vec<Event> {
    vec![
        product_registered().into(),
        product_modified().into(),
        order_placed().into(),
        order_rejected().into(),
        order_cancelled().into(),
        payment_completed().into(),
        payment_declined().into(),
        payment_cancelled().into(),
        stock_decreased().into(),
        out_of_stock().into(),
        stock_restored().into(),
        delivery_requested().into(),
        delivery_completed().into(),
        delivery_cancelled().into(),
        notified().into(),
        handling_delayed().into(),
        handling_resumed().into(),
    ]
}
