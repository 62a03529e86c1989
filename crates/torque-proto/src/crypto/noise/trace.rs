//! For the golden vectors: what the Noise exchange went through, step by step.

use core::cell::RefCell;

use super::*;

/// The state after one assignment, and what was taken in there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    pub(crate) h: [u8; 32],
    pub(crate) ck: [u8; 32],
    pub(crate) k: [u8; 32],
    /// The hashed bytes, the shared secret, or the psk.
    pub(crate) input: Vec<u8>,
}

std::thread_local! {
    static STEPS: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
}

/// Forgets the exchange before.
pub(super) fn begin(state: &State<'_>) {
    STEPS.with_borrow_mut(Vec::clear);
    note(state, &state.h);
}

pub(super) fn note(state: &State<'_>, input: &[u8]) {
    let step = Step { h: state.h, ck: state.ck, k: state.k, input: input.to_vec() };
    STEPS.with_borrow_mut(|steps| steps.push(step));
}

/// The steps of this thread's last exchange, in the order of PROTOCOL.md 3.2.
pub(crate) fn last_exchange() -> Vec<Step> {
    STEPS.with_borrow(Clone::clone)
}

/// Opens what was sealed with the key of `before` and taken in at the step after it.
pub(crate) fn open(before: &Step, sealed: &[u8]) -> Vec<u8> {
    aead::open(&before.k, Nonce::NOISE_FIRST, &before.h, sealed).unwrap()
}
