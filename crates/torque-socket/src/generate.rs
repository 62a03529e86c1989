//! Keys from the operating system's randomness, which the protocol's core does not have.

use std::io;

use torque_proto::KeyPair;
use zeroize::Zeroizing;

/// Makes a fresh [`KeyPair`]: `KeyPair::generate()`, with `use torque_socket::Generate`.
///
/// ```
/// use torque_socket::{Generate, KeyPair, Socket};
///
/// let key_pair = KeyPair::generate()?;
/// let socket = Socket::builder().key_pair(key_pair.clone()).bind("127.0.0.1:0")?;
/// assert_eq!(socket.public_key(), key_pair.public());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A pair that is to be the same after a restart belongs in a file: [`key_file`](crate::key_file).
pub trait Generate: Sized {
    /// A pair from 32 bytes of the operating system's randomness.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    fn generate() -> io::Result<Self>;
}

impl Generate for KeyPair {
    fn generate() -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        Ok(Self::from_seed(*seed))
    }
}
