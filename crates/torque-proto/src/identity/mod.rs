//! Who a socket is: key pairs and their text form, `torque://` URLs, keys signed by an authority, and which web page
//! an initiator is.

mod authority;
mod ban_set;
mod key;
pub mod origin;
mod text;
mod url;

pub use authority::{Credential, CredentialError};
pub use ban_set::BanSet;
#[cfg(test)]
pub(crate) use key::vectors as key_vectors;
pub use key::{Identity, KeyError, KeyPair, PublicKey};
pub use url::{DEFAULT_PORT, HostName, TorqueUrl, UrlError, Zone};
