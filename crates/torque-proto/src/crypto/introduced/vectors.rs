//! For the golden vectors: the keys' bytes.

use super::*;

impl Psk {
    pub(crate) fn expose(&self) -> [u8; 32] {
        self.0
    }
}

impl DataKey {
    pub(crate) fn expose(&self) -> [u8; 32] {
        self.0
    }
}
