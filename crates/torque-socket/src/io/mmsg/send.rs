//! `sendmmsg`. All of the unsafe code is in `Control::push` and `send`.

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

use super::super::Message;

/// The most messages that one call takes. Each may be a run of datagrams of one size to one address.
pub(in crate::io) const BATCH: usize = 64;

/// Room for a segment size and a source address: 24 and 40 bytes on 64-bit machines.
const CONTROL_BYTES: usize = 64;

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

/// Sends what `next` yields, up to [`BATCH`] messages, in one system call. Returns how many the kernel took;
/// 0 if `next` yielded nothing.
///
/// # Errors
/// What the first message met; none was taken then. An error of a later one shows in the next call.
pub(in crate::io) fn send<'a>(
    socket: BorrowedFd<'_>,
    mut next: impl FnMut() -> Option<Message<'a>>,
) -> io::Result<usize> {
    let mut slots = [const { MaybeUninit::<Slot>::uninit() }; BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
    let mut count = 0;
    while count < BATCH
        && let Some(message) = next()
    {
        slots[count].write(Slot {
            name: SockAddr::from(message.destination),
            control: Control::new(&message),
            part: libc::iovec {
                iov_base: message.bytes.as_ptr().cast_mut().cast(),
                iov_len: message.bytes.len(),
            },
        });
        count += 1;
    }
    if count == 0 {
        return Ok(0);
    }
    let first_slot = slots.as_mut_ptr().cast::<Slot>();
    for (index, header) in headers.iter_mut().enumerate().take(count) {
        // SAFETY: `index < count`, and the loop above has written that many slots. `slots` is neither moved
        // nor borrowed again before the call below has returned, so the pointers stay valid; the payloads
        // are borrowed for 'a, which outlives this function. The kernel does not write through them. A
        // zeroed `mmsghdr` is a valid one.
        unsafe {
            let slot = first_slot.add(index);
            let mut message: libc::mmsghdr = zeroed();
            message.msg_hdr.msg_name = (*slot).name.as_ptr().cast_mut().cast();
            message.msg_hdr.msg_namelen = (*slot).name.len();
            message.msg_hdr.msg_iov = &raw mut (*slot).part;
            message.msg_hdr.msg_iovlen = 1;
            if (*slot).control.len > 0 {
                message.msg_hdr.msg_control = (&raw mut (*slot).control.bytes).cast();
                message.msg_hdr.msg_controllen = (*slot).control.len as _;
            }
            header.write(message);
        }
    }
    loop {
        // SAFETY: the first `count` headers are written, and all that they point to is alive (see above).
        let sent = unsafe {
            libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), count as libc::c_uint, 0)
        };
        if let Ok(sent) = usize::try_from(sent) {
            return Ok(sent);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
