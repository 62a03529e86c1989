//! Many datagrams in one system call: `sendmmsg` and `recvmmsg` (Linux, Android).
//!
//! Written against `libc` because the safe wrappers leave out what a host needs: `rustix` has no control
//! messages for segmentation (`UDP_SEGMENT`, `UDP_GRO`) and for the address that was asked (`IP_PKTINFO`), `nix` allocates
//! for them in each call. `quinn-udp`, which other systems take, prepares 32 messages for each receive call, however
//! few there are, and asks the kernel for a time stamp and the congestion bits of each datagram.

mod options;
mod receive;
mod send;

pub(super) use options::ask_for;
pub(super) use receive::receive;
pub(super) use send::{send, send_one};
