//! Telling the kernel the rule, so that a datagram reaches its owner's socket without a detour (Linux).
//!
//! Sockets that share a port by `SO_REUSEPORT` may be given a program of the old packet filter ("classic BPF"), which
//! returns the index of the socket for each datagram. It needs no privilege. It is only a short cut: what it, or the
//! kernel in its place, delivers to another shard is handed on (`inbox`).

use super::rule::{MIX, Mix, Rule};

/// Loads at or above this negative offset count from the IP header. (`SKF_NET_OFF`)
const IP_HEADER: u32 = -0x10_0000_i32 as u32;

/// One instruction: operation, where to go on if a comparison is true or false, operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) if_true: u8,
    pub(super) if_false: u8,
    pub(super) operand: u32,
}

// The operations that are used, as the kernel numbers them (`linux/bpf_common.h`). A is the accumulator, X the
// index register, M[0] a word of memory.
pub(super) const LOAD_WORD: u16 = 0x20;
pub(super) const LOAD_BYTE: u16 = 0x30;
pub(super) const LOAD_HALF: u16 = 0x28;
pub(super) const LOAD_HALF_AT_X: u16 = 0x48;
pub(super) const LOAD_X_FROM_MEMORY: u16 = 0x61;
pub(super) const STORE: u16 = 0x02;
pub(super) const ADD_X: u16 = 0x0c;
pub(super) const MULTIPLY: u16 = 0x24;
pub(super) const AND: u16 = 0x54;
pub(super) const SHIFT_LEFT: u16 = 0x64;
pub(super) const SHIFT_RIGHT: u16 = 0x74;
pub(super) const REMAINDER: u16 = 0x94;
pub(super) const XOR_X: u16 = 0xac;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_IF_EQUAL: u16 = 0x15;
pub(super) const A_TO_X: u16 = 0x07;
pub(super) const RETURN_A: u16 = 0x16;

/// The rule as a program: `Rule::owner` of the datagram's source. An IPv6 datagram with extension headers, which
/// are rare, is read at the wrong place for its port, reaches any shard, and is handed on.
pub(super) fn program(rule: &Rule) -> Vec<Instruction> {
    let step = |code, operand| Instruction { code, if_true: 0, if_false: 0, operand };
    let at = |offset: u32| IP_HEADER + offset;
    let multiply = step(MULTIPLY, rule.multiplier());

    let v4 = [
        step(LOAD_WORD, at(12)),
        multiply,
        step(STORE, 0),
        // The length of the IP header, in words, is in the low half of its first byte. The port follows it.
        step(LOAD_BYTE, at(0)),
        step(AND, 15),
        step(SHIFT_LEFT, 2),
        step(A_TO_X, 0),
        step(LOAD_HALF_AT_X, at(0)),
        step(LOAD_X_FROM_MEMORY, 0),
        step(ADD_X, 0),
    ];
    let mut v6 = vec![step(LOAD_WORD, at(8)), multiply];
    for offset in [12, 16, 20] {
        v6.extend([step(A_TO_X, 0), step(LOAD_WORD, at(offset)), step(ADD_X, 0), multiply]);
    }
    v6.extend([step(A_TO_X, 0), step(LOAD_HALF, at(40)), step(ADD_X, 0)]);

    // The first half of the first byte is the version. Jumps count instructions to skip.
    let mut program = vec![
        step(LOAD_BYTE, at(0)),
        step(SHIFT_RIGHT, 4),
        Instruction { code: JUMP_IF_EQUAL, if_true: v4.len() as u8 + 1, if_false: 0, operand: 6 },
    ];
    program.extend(v4);
    program.push(step(JUMP, v6.len() as u32));
    program.extend(v6);
    for mix in MIX {
        match mix {
            Mix::Shift(bits) => {
                program.extend([step(A_TO_X, 0), step(SHIFT_RIGHT, bits), step(XOR_X, 0)]);
            }
            Mix::Multiply(factor) => program.push(step(MULTIPLY, factor)),
        }
    }
    program.extend([step(REMAINDER, rule.shards()), step(RETURN_A, 0)]);
    program
}

/// Gives the program to the group of sockets that `socket` is one of. The program's result counts them in the
/// order of their binding.
///
/// # Errors
/// The kernel is too old, or forbids it.
#[cfg(target_os = "linux")]
pub(super) fn steer(socket: &std::net::UdpSocket, rule: &Rule) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;

    let mut filter: Vec<libc::sock_filter> = program(rule)
        .iter()
        .map(|step| libc::sock_filter {
            code: step.code,
            jt: step.if_true,
            jf: step.if_false,
            k: step.operand,
        })
        .collect();
    let Ok(len) = u16::try_from(filter.len()) else { return Err(std::io::ErrorKind::InvalidInput.into()) };
    let described = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: the option takes a `sock_fprog` of just this size, which is alive during the call, as is the array
    // that it points to, of `len` instructions. The kernel copies and checks them, writes to neither, and keeps no
    // pointer.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const described).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests;
