//! The whole shop without I/O: the contexts' own decisions and policies on a log in memory ([`kernel::testing::model`]).
//!
//! Everything that takes time in the real shop is a step of its own here, which a test takes when it wants to: deciding
//! on a command, reading a piece of the log, committing what came of it, or losing it in a crash.

pub mod laws;

use contracts::{
    Event, EventType, OrderPlaced, ProductRegistered,
    ids::{OrderId, ProductId},
};
use customer_center::MyPages;
use delivery::Deliveries;
use kernel::actor::{Actor, Auth};
use kernel::{
    Context, Error, Kernel, Recorded, State, schema,
    testing::Native,
    testing::model::{Log, Member, Model, Rules, Unit},
    testing::scenario::FRESH,
};
use marketing::Marketing;
use member::Members;
use order::{
    Orders,
    domain::{PAYMENT_UNAVAILABLE, Placement},
};
use payment::{Payments, domain::Verdict};
use product::{Products, domain::Changes};
use proptest::prelude::*;
use std::sync::Arc;

/// What a context says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Its name.
    pub name: &'static str,
    /// The events that it reads.
    pub consumes: &'static [EventType],
    /// The events that it appends.
    pub appends: &'static [EventType],
    /// Whether something follows from an event that it reads before it knows anything else.
    pub acts_on: fn(&Recorded) -> bool,
    /// The ids of the rows that an event changes, where that goes by its subject.
    pub rows: Option<fn(&Recorded) -> Vec<String>>,
    /// The version of its schema.
    pub schema_version: i64,
    /// Its schema.
    pub schema: [String; 2],
}

impl About {
    fn of<C: Context>() -> Self {
        Self {
            name: C::NAME,
            consumes: C::CONSUMES,
            appends: C::APPENDS,
            acts_on: |event| C::whenever(event, FRESH).is_some(),
            rows: C::BY_SUBJECT.then_some(|event| {
                let rows = C::concerns(event).map(|key| C::State::rows(&key));
                rows.into_iter().flatten().map(|row| row.id).collect()
            }),
            schema_version: C::SCHEMA_VERSION,
            schema: schema::<C>(),
        }
    }
}

/// An event on its own, as a context reads it.
pub fn recorded(event: Event) -> Recorded {
    Recorded {
        auth: Auth::default(),
        seq: Some(1),
        id: "event-1".into(),
        time: "2026-01-01T00:00:00.000Z".into(),
        correlation_id: String::new(),
        causation_id: String::new(),
        traceparent: String::new(),
        event,
    }
}

/// Makes the shop of its contexts. Every test that needs their types has them from here.
macro_rules! contexts {
    ($($field:ident: $context:ty),+ $(,)?) => {
        /// The names of the contexts.
        pub const CONTEXTS: &[&str] = &[$(<$context>::NAME),+];

        /// What each context says of itself.
        pub fn contexts() -> Vec<About> {
            vec![$(About::of::<$context>(),)+ About::of::<Members>()]
        }

        /// The shop.
        #[derive(Default)]
        pub struct Shop {
            pub log: Log,
            $(pub $field: Model<$context>),+
        }

        /// The database of a shop in which nothing has happened yet.
        ///
        /// # Errors
        /// When a context's SQL is wrong.
        pub async fn database() -> Result<Arc<Native>, Error> {
            let native = Native::new();
            $(Kernel::<$context>::open(native.clone()).await?;)+
            Ok(native)
        }

        impl Shop {
            /// Its contexts.
            pub fn members(&self) -> [&dyn Member; CONTEXTS.len()] {
                [$(&self.$field),+]
            }

            #[allow(clippy::panic, reason = "a test names a context that there is")]
            fn member(&mut self, context: &str) -> (&mut dyn Member, &mut Log) {
                let members: [&mut dyn Member; CONTEXTS.len()] = [$(&mut self.$field),+];
                let member = members.into_iter().find(|member| member.name() == context);
                (member.unwrap_or_else(|| panic!("there is no context {context}")), &mut self.log)
            }
        }
    };
}

contexts! {
    product: Products,
    order: Orders,
    payment: Payments,
    delivery: Deliveries,
    marketing: Marketing,
    customer_center: MyPages,
}

/// What somebody asks of the shop.
#[derive(Clone, Debug)]
pub enum Ask {
    /// A seller registers a kit.
    Register { product: ProductId, stock: u32 },
    /// A seller counts the stock.
    Restock { product: ProductId, stock: u32 },
    /// A seller changes the name, and nothing else.
    Rename { product: ProductId, name: String },
    /// A member orders.
    Place { order: OrderId, product: ProductId, quantity: u32 },
    /// Order asks payment to charge, and the gateway says yes or no.
    Charge { order: OrderId, approved: bool },
    /// Payment does not answer, and order gives up.
    GiveUp { order: OrderId },
    /// A member cancels.
    Cancel { order: OrderId },
    /// A member has the kit.
    Complete { order: OrderId },
}

/// Work of one context: decided, not yet committed.
#[derive(Clone, Debug)]
pub struct Work {
    /// The context.
    pub context: &'static str,
    /// What is to be committed.
    pub unit: Option<Unit>,
}

/// A command was refused, for this reason.
pub type Refused = String;

impl Shop {
    /// A shop where one rule is not kept.
    pub fn with(rules: Rules) -> Self {
        let mut shop = Self::default();
        shop.log.rules = rules;
        shop
    }

    /// Decides, on what is in the log by now.
    ///
    /// # Errors
    /// When the domain refuses it.
    pub fn decide(&mut self, ask: &Ask) -> Result<Work, Refused> {
        let unit = match ask.clone() {
            Ask::Register { product, stock } => {
                let kit = ProductRegistered { product_id: product, stock, ..ProductRegistered::sample() };
                decide(&mut self.product, &mut self.log, product::domain::Command::Register(kit))
            }
            Ask::Restock { product, stock } => {
                self.modify(&product, Changes { stock: Some(stock), ..Changes::default() })
            }
            Ask::Rename { product, name } => self.modify(&product, Changes { name: Some(name), ..Changes::default() }),
            Ask::Place { order, product, quantity } => {
                let OrderPlaced { member_id, address, card, card_owner, .. } = OrderPlaced::sample();
                let placement = Placement {
                    member_id,
                    product_id: product,
                    quantity,
                    address,
                    card: card.unwrap_or_default(),
                    card_owner: card_owner.unwrap_or_default(),
                };
                decide(&mut self.order, &mut self.log, order::domain::Command::Place { order_id: order, placement })
            }
            Ask::Charge { order, approved } => {
                let verdict = match approved {
                    true => Verdict::Approved { approval_number: "A-1".into() },
                    false => Verdict::Declined { reason: "card_declined".into() },
                };
                let order = Box::new(self.placed(&order)?);
                decide(&mut self.payment, &mut self.log, payment::domain::Command::Record { order, verdict })
            }
            Ask::GiveUp { order } => {
                let reason = PAYMENT_UNAVAILABLE.into();
                let command = order::domain::Command::Reject { order_id: order, reason };
                decide(&mut self.order, &mut self.log, command)
            }
            Ask::Cancel { order } => {
                let command = order::domain::Command::Cancel { order_id: order, by: Actor::System, reason: None };
                decide(&mut self.order, &mut self.log, command)
            }
            Ask::Complete { order } => {
                let command = delivery::domain::Command::Complete { order_id: order, by: Actor::System, reason: None };
                decide(&mut self.delivery, &mut self.log, command)
            }
        }?;
        Ok(Work { context: ask.context(), unit: Some(unit) })
    }

    /// Asks until it is committed, or refused.
    ///
    /// # Errors
    /// When the domain refuses it.
    pub fn ask(&mut self, ask: &Ask) -> Result<(), Refused> {
        loop {
            let work = self.decide(ask)?;
            if self.commit(&work) {
                return Ok(());
            }
        }
    }

    /// A context reads up to so many events. What follows from them is not committed yet.
    pub fn read(&mut self, context: &'static str, limit: usize) -> Work {
        let (member, log) = self.member(context);
        Work { context, unit: member.read(log, limit) }
    }

    /// Commits work, if the rules allow it; says whether they did.
    pub fn commit(&mut self, work: &Work) -> bool {
        let (member, log) = self.member(work.context);
        work.unit.as_ref().is_none_or(|unit| member.commit(log, unit))
    }

    /// A context reads the log to its end.
    pub fn catch_up(&mut self, context: &'static str) {
        let (member, log) = self.member(context);
        member.catch_up(log);
    }

    /// These contexts catch up, one after the other, until nothing follows any more.
    pub fn come_to_rest(&mut self, contexts: &[&'static str]) {
        loop {
            let head = self.log.head();
            for context in contexts {
                self.catch_up(context);
            }
            if self.log.head() == head {
                return;
            }
        }
    }

    /// Everything that happened to an order, in order.
    pub fn story<'a>(&'a self, order: &'a OrderId) -> impl Iterator<Item = &'a Event> {
        let events = self.log.entries().iter().map(|entry| &entry.recorded.event);
        events.filter(move |event| event.order_id() == Some(order))
    }

    fn modify(&mut self, product: &ProductId, changes: Changes) -> Result<Unit, Refused> {
        let command = product::domain::Command::Modify { product_id: product.clone(), by: Actor::System, changes };
        decide(&mut self.product, &mut self.log, command)
    }

    /// Order asks for a charge only after it has placed the order.
    fn placed(&self, order: &OrderId) -> Result<OrderPlaced, Refused> {
        let placed = self.story(order).find_map(|event| match event {
            Event::OrderPlaced(placed) => Some(placed.clone()),
            _ => None,
        });
        placed.ok_or_else(|| "there is no such order".into())
    }
}

impl Ask {
    /// Anything about one of these; what makes a story go on more often than what ends it.
    pub fn any(orders: BoxedStrategy<OrderId>, products: BoxedStrategy<ProductId>) -> impl Strategy<Value = Self> {
        prop_oneof![
            1 => (products.clone(), 0..5u32).prop_map(|(product, stock)| Self::Register { product, stock }),
            1 => (products.clone(), 0..5u32).prop_map(|(product, stock)| Self::Restock { product, stock }),
            1 => (products.clone(), "[a-z]{4}").prop_map(|(product, name)| Self::Rename { product, name }),
            6 => (orders.clone(), products, 1..3u32)
                .prop_map(|(order, product, quantity)| Self::Place { order, product, quantity }),
            6 => (orders.clone(), prop::bool::weighted(0.85))
                .prop_map(|(order, approved)| Self::Charge { order, approved }),
            1 => orders.clone().prop_map(|order| Self::GiveUp { order }),
            3 => orders.clone().prop_map(|order| Self::Cancel { order }),
            4 => orders.prop_map(|order| Self::Complete { order }),
        ]
    }

    /// The context that is asked.
    pub fn context(&self) -> &'static str {
        match self {
            Self::Register { .. } | Self::Restock { .. } | Self::Rename { .. } => "product",
            Self::Place { .. } | Self::GiveUp { .. } | Self::Cancel { .. } => "order",
            Self::Charge { .. } => "payment",
            Self::Complete { .. } => "delivery",
        }
    }
}

fn decide<C: Context>(model: &mut Model<C>, log: &mut Log, command: C::Command) -> Result<Unit, Refused> {
    model.decide(log, command).map_err(|refusal| refusal.to_string())
}
