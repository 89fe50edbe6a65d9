//! Who asks for something, and what they are.

use contracts::ids::{MemberId, SellerId, SessionId};
pub use token::Role;

/// Who a request, or an event, comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Actor {
    /// Nobody who said who they are.
    Anonymous,
    /// Somebody who is signed in.
    Member(Member),
    /// A program outside the shop.
    Service(Service),
    /// Another context, which asks for something over HTTP.
    Context(String),
    /// The shop by itself: a policy, or something that time asks for.
    #[default]
    System,
}

/// A signed-in member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: MemberId,
    pub session: SessionId,
    pub roles: Vec<Role>,
    /// For whom they sell, if they are a seller.
    pub seller: Option<SellerId>,
    /// When they gave their password, or came from their identity provider (Unix time, s).
    pub signed_in_at: i64,
}

/// A program outside the shop, with what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub id: MemberId,
    pub scopes: Vec<String>,
}

impl Actor {
    /// The member, if it is one.
    pub fn member(&self) -> Option<&Member> {
        match self {
            Self::Member(member) => Some(member),
            _ => None,
        }
    }

    /// Whether it is a member with this role.
    pub fn is(&self, role: Role) -> bool {
        self.member().is_some_and(|member| member.is(role))
    }

    /// The id under which it orders, if it may.
    pub fn orders_as(&self) -> Option<&MemberId> {
        self.member().filter(|member| member.is(Role::Member)).map(|member| &member.id)
    }

    /// For whom it sells, if it does.
    pub fn sells_as(&self) -> Option<&SellerId> {
        self.member().and_then(Member::sells_for)
    }

    /// Under which it delivers, if it may.
    pub fn delivers_as(&self) -> Option<&MemberId> {
        self.member().filter(|member| member.is(Role::Courier)).map(|member| &member.id)
    }

    /// Whether it is this member.
    pub fn is_member(&self, id: &MemberId) -> bool {
        self.orders_as() == Some(id)
    }

    /// Whether it is somebody who sells for this seller.
    pub fn sells_for(&self, seller: &SellerId) -> bool {
        self.sells_as() == Some(seller)
    }

    /// Whether it may do whatever has to be done: an operator, or the shop itself.
    pub fn runs_the_shop(&self) -> bool {
        self.is(Role::Operator) || matches!(self, Self::System | Self::Context(_))
    }

    /// The same as events say it.
    pub(crate) fn auth(&self) -> Auth {
        let kind = match self {
            Self::Anonymous => "unauthenticated",
            Self::Member(_) => "app_user",
            Self::Service(_) => "service_account",
            Self::Context(_) | Self::System => "system",
        };
        Auth { kind: kind.to_owned(), id: self.id().map(str::to_owned) }
    }

    /// Which one it is, where there are several of its kind.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Member(member) => Some(member.id.as_str()),
            Self::Service(service) => Some(service.id.as_str()),
            Self::Context(name) => Some(name),
            Self::Anonymous | Self::System => None,
        }
    }
}

impl Member {
    /// Whether they have this role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// For whom they sell, if they may.
    pub fn sells_for(&self) -> Option<&SellerId> {
        self.seller.as_ref().filter(|_| self.is(Role::Seller))
    }
}

/// Who made an event happen, as CloudEvents have it
/// (<https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/authcontext.md>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// `authtype`: the kind of actor.
    pub kind: String,
    /// `authid`: which one.
    pub id: Option<String>,
}

impl Auth {
    /// Of an event that was appended before events said it.
    pub(crate) const UNKNOWN: &str = "unknown";
}

/// The shop by itself.
impl Default for Auth {
    fn default() -> Self {
        Actor::System.auth()
    }
}
