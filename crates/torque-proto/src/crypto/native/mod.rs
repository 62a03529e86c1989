//! Faster code for some primitives, where there is any: each function says `None` where there is not, and the caller
//! goes on with the portable code. Both give the same bytes.
//!
//! The feature `native` takes `graviola`, whose cryptography is assembly within Rust: it needs no C compiler, but a
//! 64-bit Intel or ARM processor and the standard library. Whether the processor has what it asks for is seen at run time.

#[cfg(all(feature = "native", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod graviola;
#[cfg(all(feature = "native", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use self::graviola::ed25519_verify;
#[cfg(all(feature = "native", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) use self::graviola::{Aead, x25519, x25519_base};

#[cfg(not(all(feature = "native", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod none;
#[cfg(not(all(feature = "native", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) use none::ed25519_verify;
#[cfg(not(all(feature = "native", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(super) use none::{Aead, x25519, x25519_base};

#[cfg(all(test, feature = "native", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests;
