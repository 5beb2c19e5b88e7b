//! The direction in which changes flow: from the side that serves clients to the other one.

use trunkline_changes::Side;

/// Which way changes flow. It turns round at every switch of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From the source to the target: clients are on the source.
    There,
    /// From the target to the source: clients are on the target.
    Back,
}

impl Way {
    /// The side that serves clients, and that changes come from.
    pub fn from(self) -> Side {
        match self {
            Way::There => Side::Source,
            Way::Back => Side::Target,
        }
    }

    /// The side that changes go to.
    pub fn to(self) -> Side {
        match self {
            Way::There => Side::Target,
            Way::Back => Side::Source,
        }
    }

    /// The way after a switch.
    pub(crate) fn turned(self) -> Way {
        match self {
            Way::There => Way::Back,
            Way::Back => Way::There,
        }
    }
}
