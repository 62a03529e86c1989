//! Who a socket is: key pairs and their text form, `torque://` URLs, keys signed by an authority.

mod authority;
mod key;
mod text;
mod url;

pub use authority::{Credential, CredentialError};
pub use key::{KeyError, KeyPair, PublicKey};
pub use url::{DEFAULT_PORT, HostName, TorqueUrl, UrlError};
