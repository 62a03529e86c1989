//! `sendmmsg`, and plainer calls for one message. All of the unsafe code is in `Control::push`, `send_one` and `send_many`.

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

use super::super::Message;

/// The most messages that one call takes. Each may be a run of datagrams of one size to one address.
const BATCH: usize = 64;

/// Room for a segment size, a source address and a hop limit: 24, 40 and 24 bytes on 64-bit machines.
const CONTROL_BYTES: usize = 88;

/// Control messages, laid out as the kernel reads them.
#[repr(C, align(8))]
struct Control {
    bytes: [u8; CONTROL_BYTES],
    len: usize,
}

impl Control {
    fn new(message: &Message<'_>) -> Self {
        let mut control = Self { bytes: [0; CONTROL_BYTES], len: 0 };
        if let Some(size) = message.segment_size {
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, size);
        }
        match message.source {
            Some(IpAddr::V4(ip)) => control.push(
                libc::IPPROTO_IP,
                libc::IP_PKTINFO,
                libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                },
            ),
            Some(IpAddr::V6(ip)) => control.push(
                libc::IPPROTO_IPV6,
                libc::IPV6_PKTINFO,
                libc::in6_pktinfo { ipi6_ifindex: 0, ipi6_addr: libc::in6_addr { s6_addr: ip.octets() } },
            ),
            None => {}
        }
        if let Some(limit) = message.hop_limit {
            let limit = libc::c_int::from(limit);
            // An IPv6 socket that sends to an IPv4 address makes an IPv4 packet.
            match message.destination.ip().to_canonical() {
                IpAddr::V4(_) => control.push(libc::IPPROTO_IP, libc::IP_TTL, limit),
                IpAddr::V6(_) => control.push(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, limit),
            }
        }
        control
    }

    /// Appends one control message; leaves it out if there is no room, which the sizes above exclude.
    fn push<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        let size = size_of::<T>() as libc::c_uint;
        // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
        let (space, len) = unsafe { (libc::CMSG_SPACE(size) as usize, libc::CMSG_LEN(size)) };
        if self.len + space > CONTROL_BYTES {
            debug_assert!(false, "CONTROL_BYTES is too small");
            return;
        }
        // SAFETY: `self.len + space <= CONTROL_BYTES` was checked, and CMSG_SPACE covers the header, the
        // value and their padding, so both writes stay inside `bytes`. `bytes` is aligned to 8 and each
        // CMSG_SPACE is a multiple of the header's alignment, so the header is aligned; the value is
        // written unaligned. A zeroed `cmsghdr` is a valid one.
        unsafe {
            let header = self.bytes.as_mut_ptr().add(self.len).cast::<libc::cmsghdr>();
            header.write(zeroed());
            (*header).cmsg_len = len as _;
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        self.len += space;
    }
}

/// Everything that one message header points to, besides the payload.
struct Slot {
    name: SockAddr,
    control: Control,
    part: libc::iovec,
}

impl Slot {
    fn new(message: &Message<'_>) -> Self {
        Self {
            name: SockAddr::from(message.destination),
            control: Control::new(message),
            part: libc::iovec {
                iov_base: message.bytes.as_ptr().cast_mut().cast(),
                iov_len: message.bytes.len(),
            },
        }
    }

    /// A header that points to what is in this slot: good for as long as the slot stays where it is, and the
    /// payload of its message is borrowed.
    fn header(&mut self) -> libc::msghdr {
        // SAFETY: a zeroed `msghdr` is a valid one.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_name = self.name.as_ptr().cast_mut().cast();
        header.msg_namelen = self.name.len();
        header.msg_iov = &raw mut self.part;
        header.msg_iovlen = 1;
        if self.control.len > 0 {
            header.msg_control = (&raw mut self.control.bytes).cast();
            header.msg_controllen = self.control.len as _;
        }
        header
    }
}

/// Sends what `next` yields, up to [`BATCH`] messages, in one system call. Returns how many the kernel took;
/// 0 if `next` yielded nothing.
///
/// # Errors
/// What the first message met; none was taken then. An error of a later one shows in the next call.
pub(in crate::io) fn send<'a>(
    socket: BorrowedFd<'_>,
    mut next: impl FnMut() -> Option<Message<'a>>,
) -> io::Result<usize> {
    let Some(first) = next() else { return Ok(0) };
    match next() {
        None => send_one(socket, &first).map(|()| 1),
        Some(second) => send_many(socket, [first, second].into_iter().chain(std::iter::from_fn(next))),
    }
}

/// One message, for which `sendmmsg` takes longer.
///
/// # Errors
/// What the operating system says.
pub(in crate::io) fn send_one(socket: BorrowedFd<'_>, message: &Message<'_>) -> io::Result<()> {
    let mut slot = Slot::new(message);
    until_done(|| {
        if slot.control.len == 0 {
            // SAFETY: the payload and the name are alive and as long as is said.
            unsafe {
                libc::sendto(
                    socket.as_raw_fd(),
                    message.bytes.as_ptr().cast(),
                    message.bytes.len(),
                    0,
                    slot.name.as_ptr().cast(),
                    slot.name.len(),
                )
            }
        } else {
            let header = slot.header();
            // SAFETY: the header's slot and the payload are alive and stay where they are during the call. The
            // kernel does not write through the header.
            unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) }
        }
    })?;
    Ok(())
}

fn send_many<'a>(socket: BorrowedFd<'_>, messages: impl Iterator<Item = Message<'a>>) -> io::Result<usize> {
    let mut slots = [const { MaybeUninit::<Slot>::uninit() }; BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
    let mut count = 0;
    // In this order, so that no message is taken for which there is no slot.
    for ((slot, header), message) in slots.iter_mut().zip(&mut headers).zip(messages) {
        let msg_hdr = slot.write(Slot::new(&message)).header();
        header.write(libc::mmsghdr { msg_hdr, msg_len: 0 });
        count += 1;
    }
    until_done(|| {
        // SAFETY: the first `count` headers are written. Their slots are neither moved nor borrowed again before the
        // call has returned, and the payloads are borrowed for 'a, which outlives this function. The kernel does not
        // write through the headers.
        unsafe {
            let sent =
                libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), count as libc::c_uint, 0);
            sent as libc::ssize_t
        }
    })
}

/// Calls again if a signal came between.
fn until_done(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        if let Ok(done) = usize::try_from(call()) {
            return Ok(done);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
