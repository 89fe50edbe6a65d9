//! What the context reads and appends, and what time asks for.

use crate::{Members, domain::Desk, keys, store::DeskKey, throttle};
use contracts::{
    EventType, MemberClosed, MemberRegistered, RolesChanged, SessionsRevoked, SigningKeyPublished, SigningKeyRetired,
};
use kernel::{Context, Decider, Error, Kernel, Recorded};
use std::{convert::Infallible, sync::Arc};

/// It carries out nothing by events alone: what is personal stands in none ([`crate::domain`]).
impl Decider for Members {
    type State = Desk;
    type Command = Infallible;
    type Refusal = crate::domain::Refusal;

    fn target(command: &Infallible) -> DeskKey {
        match *command {}
    }

    fn decide(_: &Desk, command: Infallible) -> Result<Vec<contracts::Event>, Self::Refusal> {
        match command {}
    }

    fn evolve(desk: Desk, _: &Recorded) -> Desk {
        desk
    }
}

impl Context for Members {
    const NAME: &'static str = "member";
    const SQL: &'static str = include_str!("../../../sql/member.sql");
    const CONSUMES: &'static [EventType] = &[];
    const APPENDS: &'static [EventType] = &[
        MemberRegistered::TYPE,
        RolesChanged::TYPE,
        SessionsRevoked::TYPE,
        MemberClosed::TYPE,
        SigningKeyPublished::TYPE,
        SigningKeyRetired::TYPE,
    ];

    fn concerns(_: &Recorded) -> Option<DeskKey> {
        None
    }

    /// Keys that signed nothing any more that is still good are retired, and what was counted long ago is forgotten.
    async fn settle(kernel: &Arc<Kernel<Self>>) -> Result<(), Error> {
        keys::retire(kernel).await?;
        throttle::sweep(kernel).await
    }
}
