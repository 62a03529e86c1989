//! The system calls that no safe wrapper offers without allocating: `sendmmsg`, `recvmmsg`, and `sendmsg`,
//! `recvmsg` with the control messages of segmentation offload (`UDP_SEGMENT`) and receive offload (`UDP_GRO`).
//! All of the unsafe code of the bench is in this file. IPv4 only, which is all that the bench uses.
//!
//! The argument for all of it: message headers, addresses, parts and control buffers are on the stack of the
//! calling function or in a `Space` that it borrows, are not moved between being pointed to and the end of the
//! system call, and live longer than it; payload buffers are borrowed by the caller for that long. Pointers that stay in
//! a `Space` are replaced before it is given to the kernel again. Every structure is one for which all bytes zero is a
//! valid value.

use std::io;
use std::mem::zeroed;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The most messages of one call.
pub const BATCH: usize = 64;

/// Room for one control message with a small integer, aligned as the kernel reads it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Room for the headers of many messages, kept from call to call so that it need not be cleared each time.
pub struct Space {
    names: [libc::sockaddr_in; BATCH],
    parts: [libc::iovec; BATCH],
    headers: [libc::mmsghdr; BATCH],
}

// SAFETY: the pointers in it are only followed during a call that has the space to itself.
unsafe impl Send for Space {}

impl Space {
    pub fn new() -> Box<Self> {
        // SAFETY: all bytes zero is a valid value of each of the arrays.
        Box::new(unsafe { zeroed() })
    }

    /// Points header `index` to `len` bytes at `base`, to or from `name`.
    fn set(&mut self, index: usize, name: libc::sockaddr_in, base: *mut u8, len: usize) {
        self.names[index] = name;
        self.parts[index] = libc::iovec { iov_base: base.cast(), iov_len: len };
        let header = &mut self.headers[index].msg_hdr;
        header.msg_name = (&raw mut self.names[index]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        header.msg_iov = &raw mut self.parts[index];
        header.msg_iovlen = 1;
    }
}

fn name_of(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

fn address_of(name: &libc::sockaddr_in) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes()), u16::from_be(name.sin_port))
}

fn checked(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Asks the kernel to join datagrams of one sender that arrive together.
pub fn enable_joining(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int, given with its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_GRO,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    checked(result as isize).map(drop)
}

/// Segments and bytes that a TCP socket has sent, pure acknowledgments included, and that it has received.
#[derive(Clone, Copy, Default, Debug)]
pub struct TcpCount {
    pub segments_out: u64,
    pub bytes_out: u64,
    pub segments_in: u64,
    pub bytes_in: u64,
}

/// Reads `TCP_INFO`, by the places that the kernel's interface gives its fields (`struct tcp_info` in linux/tcp.h): the
/// structure of `libc` ends before these.
pub fn tcp_count(socket: BorrowedFd<'_>) -> io::Result<TcpCount> {
    let mut info = [0_u8; 256];
    let mut len = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `info` and sets `len` to how many.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    checked(result as isize)?;
    let word = |at: usize| -> u64 {
        u64::from(u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]))
    };
    let long = |at: usize| -> u64 { info[at..].first_chunk().copied().map_or(0, u64::from_ne_bytes) };
    Ok(TcpCount {
        bytes_out: long(120),
        bytes_in: long(128),
        segments_out: word(136),
        segments_in: word(140),
    })
}

/// Sends `bytes` as datagrams of `segment` bytes each, the last maybe shorter, in one call.
pub fn send_segments(
    socket: BorrowedFd<'_>,
    to: SocketAddrV4,
    bytes: &[u8],
    segment: u16,
) -> io::Result<usize> {
    let mut name = name_of(to);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 64]);
    // SAFETY: see the top of this file. The control buffer has room for CMSG_SPACE(2) = 24 bytes and is aligned
    // for a header; the kernel does not write through `msg_iov` when it sends.
    unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_name = (&raw mut name).cast();
        message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if bytes.len() > usize::from(segment) {
            message.msg_control = (&raw mut control.0).cast();
            message.msg_controllen = libc::CMSG_SPACE(2) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_UDP;
            (*header).cmsg_type = libc::UDP_SEGMENT;
            (*header).cmsg_len = libc::CMSG_LEN(2) as _;
            libc::CMSG_DATA(header).cast::<u16>().write_unaligned(segment);
        }
        checked(libc::sendmsg(socket.as_raw_fd(), &raw const message, 0))
    }
}

/// What one receive call brought: several datagrams of `segment` bytes each, the last maybe shorter.
pub struct Joined {
    pub from: SocketAddrV4,
    pub len: usize,
    pub segment: usize,
}

/// Receives what the kernel has joined. `flags` is 0 to block or `MSG_DONTWAIT`.
pub fn receive_joined(socket: BorrowedFd<'_>, buffer: &mut [u8], flags: libc::c_int) -> io::Result<Joined> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; 64]);
    // SAFETY: see the top of this file. The kernel writes at most the lengths that are given. The control
    // messages are walked only within what the kernel says that it wrote, and the value of UDP_GRO is an int.
    unsafe {
        let mut name: libc::sockaddr_in = zeroed();
        let mut message: libc::msghdr = zeroed();
        message.msg_name = (&raw mut name).cast();
        message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control.0).cast();
        message.msg_controllen = size_of::<Control>() as _;
        let len = checked(libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags))?;
        let mut segment = len;
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_UDP && (*header).cmsg_type == libc::UDP_GRO {
                let value = libc::CMSG_DATA(header).cast::<libc::c_int>().read_unaligned();
                segment = usize::try_from(value).unwrap_or(len);
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
        Ok(Joined { from: address_of(&name), len, segment: segment.max(1) })
    }
}

/// Sends up to [`BATCH`] datagrams in one call; returns how many the kernel took. Message `index` is
/// `get(index)`, `None` after the last.
pub fn send_many<'a>(
    socket: BorrowedFd<'_>,
    space: &mut Space,
    get: impl Fn(usize) -> Option<(SocketAddrV4, &'a [u8])>,
) -> io::Result<usize> {
    let mut count = 0;
    while count < BATCH
        && let Some((to, bytes)) = get(count)
    {
        space.set(count, name_of(to), bytes.as_ptr().cast_mut(), bytes.len());
        count += 1;
    }
    // SAFETY: see the top of this file. Only the headers that were set are given to the kernel, which does not
    // write through their parts when it sends.
    let sent =
        unsafe { libc::sendmmsg(socket.as_raw_fd(), space.headers.as_mut_ptr(), count as libc::c_uint, 0) };
    checked(sent as isize)
}

/// Receives up to [`BATCH`] datagrams in one call into `buffer`, each into its own `stride` bytes, and says
/// where each came from and how long it is. `flags` is `MSG_WAITFORONE` to block for the first, or `MSG_DONTWAIT`.
pub fn receive_many(
    socket: BorrowedFd<'_>,
    space: &mut Space,
    buffer: &mut [u8],
    stride: usize,
    heads: &mut [(SocketAddrV4, usize); BATCH],
    flags: libc::c_int,
) -> io::Result<usize> {
    let mut count = 0;
    let nobody = name_of(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
    for piece in buffer.chunks_exact_mut(stride).take(BATCH) {
        space.set(count, nobody, piece.as_mut_ptr(), piece.len());
        count += 1;
    }
    // SAFETY: see the top of this file. Only the headers that were set are given to the kernel; their parts are
    // disjoint pieces of `buffer`.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            space.headers.as_mut_ptr(),
            count as libc::c_uint,
            flags as _,
            std::ptr::null_mut(),
        )
    };
    let received = checked(received as isize)?;
    for (index, head) in heads.iter_mut().enumerate().take(received.min(count)) {
        *head = (address_of(&space.names[index]), space.headers[index].msg_len as usize);
    }
    Ok(received)
}
