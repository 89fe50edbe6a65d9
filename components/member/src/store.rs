//! Rows <-> state; see `sql/member.sql`.

use crate::{
    Members,
    domain::{Address, Desk, Person, Service, Session},
    keys::{RING, Ring},
};
use contracts::ids::{MemberId, SessionId};
use kernel::{
    DataError, Entity, Error, Kernel, RowKey, Rows, State, Versioned,
    http::{Listing, Owners},
};

impl Entity for Person {
    const KIND: &'static str = "account";
    type Id = MemberId;

    fn id(&self) -> &MemberId {
        &self.member_id
    }
}

impl Entity for Address {
    const KIND: &'static str = "address";
    type Id = String;

    fn id(&self) -> &String {
        &self.hash
    }
}

impl Entity for Session {
    const KIND: &'static str = "session";
    type Id = SessionId;

    fn id(&self) -> &SessionId {
        &self.session_id
    }
}

impl Entity for Ring {
    const KIND: &'static str = "ring";
    type Id = String;

    fn id(&self) -> &String {
        &self.id
    }
}

impl Entity for Service {
    const KIND: &'static str = "service";
    type Id = MemberId;

    fn id(&self) -> &MemberId {
        &self.service_id
    }
}

/// Which rows a decision is about.
#[derive(Clone, Debug, Default)]
pub struct DeskKey {
    pub person: Option<MemberId>,
    /// Hashes of e-mails.
    pub addresses: Vec<String>,
    pub session: Option<SessionId>,
    pub service: Option<MemberId>,
    pub ring: bool,
}

impl DeskKey {
    /// An account alone.
    pub fn of(member_id: &MemberId) -> Self {
        Self { person: Some(member_id.clone()), ..Self::default() }
    }

    /// An account with these addresses.
    pub fn with_addresses(member_id: &MemberId, addresses: Vec<String>) -> Self {
        Self { addresses, ..Self::of(member_id) }
    }

    /// An account with one of its sessions.
    pub fn with_session(member_id: &MemberId, session: &SessionId) -> Self {
        Self { session: Some(session.clone()), ..Self::of(member_id) }
    }

    /// A service.
    pub fn service(service_id: &MemberId) -> Self {
        Self { service: Some(service_id.clone()), ..Self::default() }
    }

    /// The keys, too.
    pub fn and_ring(self, ring: bool) -> Self {
        Self { ring, ..self }
    }

    /// The keys.
    pub fn ring() -> Self {
        Self { ring: true, ..Self::default() }
    }
}

impl State for Desk {
    type Key = DeskKey;

    fn rows(key: &DeskKey) -> Vec<RowKey> {
        let mut rows: Vec<RowKey> = key.person.iter().map(RowKey::of::<Person>).collect();
        rows.extend(key.addresses.iter().map(RowKey::of::<Address>));
        rows.extend(key.session.iter().map(RowKey::of::<Session>));
        rows.extend(key.service.iter().map(RowKey::of::<Service>));
        rows.extend(key.ring.then(|| RowKey::of::<Ring>(&RING.to_owned())));
        rows
    }

    fn read(key: &DeskKey, rows: &Rows) -> Result<Self, DataError> {
        let addresses = key.addresses.iter().filter_map(|hash| rows.get(hash).transpose());
        Ok(Self {
            person: key.person.as_ref().map(|id| rows.get(id)).transpose()?.flatten(),
            addresses: addresses.collect::<Result<_, _>>()?,
            session: key.session.as_ref().map(|id| rows.get(id)).transpose()?.flatten(),
            service: key.service.as_ref().map(|id| rows.get(id)).transpose()?.flatten(),
            ring: if key.ring { rows.get(&RING.to_owned())? } else { None },
        })
    }

    fn write(&self, rows: &mut Rows) -> Result<(), DataError> {
        self.person.iter().try_for_each(|it| rows.put(it))?;
        self.addresses.iter().try_for_each(|it| rows.put(it))?;
        self.session.iter().try_for_each(|it| rows.put(it))?;
        self.service.iter().try_for_each(|it| rows.put(it))?;
        self.ring.iter().try_for_each(|it| rows.put(it))
    }
}

/// Whose account has the e-mail with this hash.
pub async fn holder(kernel: &Kernel<Members>, hash: &str) -> Result<Option<MemberId>, Error> {
    let address = kernel.find::<Address>(&hash.to_owned()).await?;
    Ok(address.and_then(|address| address.value.member_id))
}

/// A part of the services, newest first.
pub async fn services(kernel: &Kernel<Members>, listing: &Listing) -> Result<Vec<Versioned<Service>>, Error> {
    let (condition, parameters) = listing.select("true", "id", &[], &Owners::All);
    kernel.select(&condition, parameters).await
}
