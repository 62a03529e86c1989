//! `recvmmsg`.

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::super::{Arrived, RECEIVE_BATCH, RECEIVE_BYTES};

/// Room for the control messages that are asked for: a segment size, a destination of each family, and a count of losses.
const CONTROL_BYTES: usize = 128;

/// Room for an address of either family.
type Name = libc::sockaddr_in6;

#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; CONTROL_BYTES]);

/// The contents of one message's control messages.
#[derive(Default)]
struct Told {
    stride: Option<usize>,
    destination: Option<IpAddr>,
    lost: Option<u32>,
}

/// Receives up to one message for each [`RECEIVE_BYTES`] of `buffers`, at most [`RECEIVE_BATCH`], in one system call
/// that does not wait, and hands each on. Returns how many there were.
///
/// # Errors
/// What the operating system says; `WouldBlock` if nothing is there.
pub(in crate::io) fn receive(
    socket: BorrowedFd<'_>,
    buffers: &mut [u8],
    mut take: impl FnMut(Arrived<'_>),
) -> io::Result<usize> {
    let mut names = [const { MaybeUninit::<Name>::uninit() }; RECEIVE_BATCH];
    let mut controls = [const { Control([MaybeUninit::uninit(); CONTROL_BYTES]) }; RECEIVE_BATCH];
    let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; RECEIVE_BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; RECEIVE_BATCH];

    let (name, control, part) = (names.as_mut_ptr(), controls.as_mut_ptr(), parts.as_mut_ptr());
    let mut count = 0;
    for (header, buffer) in headers.iter_mut().zip(buffers.chunks_exact_mut(RECEIVE_BYTES)) {
        // SAFETY: `count < RECEIVE_BATCH`, the length of the three arrays. They are neither moved nor borrowed again
        // before the kernel is done with them, so the pointers stay valid; the same holds for the buffer. A zeroed
        // `mmsghdr` is a valid one.
        unsafe {
            part.add(count).write(MaybeUninit::new(libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            }));
            let mut message: libc::mmsghdr = zeroed();
            message.msg_hdr.msg_name = name.add(count).cast();
            message.msg_hdr.msg_namelen = size_of::<Name>() as libc::socklen_t;
            message.msg_hdr.msg_iov = part.add(count).cast();
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = control.add(count).cast();
            message.msg_hdr.msg_controllen = CONTROL_BYTES as _;
            header.write(message);
        }
        count += 1;
    }
    let received = loop {
        // SAFETY: the first `count` headers are written, and all that they point to is alive and as large as they
        // say (see above). No time-out is given.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if let Ok(received) = usize::try_from(received) {
            break received.min(count);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    for (header, buffer) in headers.iter().zip(buffers.chunks_exact_mut(RECEIVE_BYTES)).take(received) {
        // SAFETY: the first `count` headers are written, and `received <= count`.
        let message = unsafe { header.assume_init_ref() };
        // SAFETY: the kernel has filled this header, and nothing that it points to has been moved.
        let (from, told) = unsafe { (read_name(&message.msg_hdr), read_control(&message.msg_hdr)) };
        let Some(from) = from else { continue };
        let len = (message.msg_len as usize).min(buffer.len());
        take(Arrived {
            from,
            destination: told.destination,
            stride: told.stride.unwrap_or(len),
            lost: told.lost,
            bytes: &mut buffer[..len],
        });
    }
    Ok(received)
}

/// # Safety
/// `msg_name` points to a `Name` of which the kernel has written `msg_namelen` bytes.
unsafe fn read_name(header: &libc::msghdr) -> Option<SocketAddr> {
    let len = header.msg_namelen as usize;
    if len < size_of::<libc::sockaddr_in>() {
        return None;
    }
    // SAFETY: `sockaddr_in6` is larger and aligned as strictly as `sockaddr_in`, and that many bytes are written.
    let v4 = unsafe { &*header.msg_name.cast::<libc::sockaddr_in>() };
    match libc::c_int::from(v4.sin_family) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if len >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: all of it is written.
            let v6 = unsafe { &*header.msg_name.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// # Safety
/// `msg_control` points to `msg_controllen` bytes of control messages that the kernel has written.
unsafe fn read_control(header: &libc::msghdr) -> Told {
    let mut told = Told::default();
    // SAFETY: as above; these walk from header to header within `msg_controllen` bytes, and end with null.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: not null, so a whole header lies there; the kernel aligns them.
        let (message, data) = unsafe { (&*next, libc::CMSG_DATA(next)) };
        // SAFETY: the kernel writes a value of that type into messages of that kind. Read unaligned.
        unsafe {
            match (message.cmsg_level, message.cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    told.stride = usize::try_from(data.cast::<libc::c_int>().read_unaligned()).ok();
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    told.lost = Some(data.cast::<u32>().read_unaligned());
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    // For a broadcast this is the machine's own address on that network; `ipi_addr` is the broadcast address.
                    told.destination = Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    told.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => {}
            }
        }
        // SAFETY: `next` was one of them.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    told
}
