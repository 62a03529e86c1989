//! UDP datagrams out of capture files: pcap and pcapng, the usual link types, IPv4 and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A datagram of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    /// Microseconds since 1970-01-01, as far as the file tells.
    pub micros: u64,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// The contents of a file.
#[derive(Default, Debug)]
pub struct Capture {
    pub datagrams: Vec<Captured>,
    /// The number of packets of other kinds, truncated ones, fragments, and malformed blocks.
    pub skipped: u64,
    /// Set if the file ends in the middle of a record, or cannot be read further.
    pub is_cut_off: bool,
}

const UDP: u8 = 17;
/// The kind of the block that begins a section of a pcapng file. It reads the same in both byte orders.
const SECTION: u32 = 0x0a0d_0d0a;

/// Reads a capture; `None` if the bytes do not begin as one.
pub fn read(bytes: &[u8]) -> Option<Capture> {
    let magic: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    match magic {
        [0xa1, 0xb2, 0xc3, 0xd4] => read_pcap(bytes, Endian::Big, 1),
        [0xd4, 0xc3, 0xb2, 0xa1] => read_pcap(bytes, Endian::Little, 1),
        [0xa1, 0xb2, 0x3c, 0x4d] => read_pcap(bytes, Endian::Big, 1_000),
        [0x4d, 0x3c, 0xb2, 0xa1] => read_pcap(bytes, Endian::Little, 1_000),
        [0x0a, 0x0d, 0x0d, 0x0a] => read_pcapng(bytes),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Endian {
    Big,
    Little,
}

impl Endian {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let field = bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u16::from_be_bytes(*field),
            Self::Little => u16::from_le_bytes(*field),
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let field = bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(*field),
            Self::Little => u32::from_le_bytes(*field),
        })
    }
}

fn read_pcap(bytes: &[u8], endian: Endian, per_micro: u64) -> Option<Capture> {
    let link = endian.u32(bytes, 20)?;
    let mut capture = Capture::default();
    let mut rest = bytes.get(24..)?;
    while !rest.is_empty() {
        let record = endian.u32(rest, 0).zip(endian.u32(rest, 4)).zip(endian.u32(rest, 8));
        let packet = record.and_then(|((seconds, fraction), length)| {
            let packet = rest.get(16..16 + length as usize)?;
            Some((u64::from(seconds) * 1_000_000 + u64::from(fraction) / per_micro, packet))
        });
        let Some((micros, packet)) = packet else {
            capture.is_cut_off = true;
            break;
        };
        capture.take(micros, link, packet);
        rest = &rest[16 + packet.len()..];
    }
    Some(capture)
}

/// The properties of an interface's packets in a pcapng file.
struct Interface {
    link: u32,
    ticks_per_second: u64,
}

/// The byte order of a section of a pcapng file, which begins here.
fn byte_order(section: &[u8]) -> Option<Endian> {
    match section.get(8..12)? {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(Endian::Big),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(Endian::Little),
        _ => None,
    }
}

fn read_pcapng(bytes: &[u8]) -> Option<Capture> {
    let mut capture = Capture::default();
    let mut endian = byte_order(bytes)?;
    // A malformed one keeps its number.
    let mut interfaces: Vec<Option<Interface>> = Vec::new();
    let mut rest = bytes;
    while let Some(kind) = endian.u32(rest, 0) {
        if kind == SECTION {
            let Some(order) = byte_order(rest) else {
                capture.skipped += 1;
                break;
            };
            endian = order;
            interfaces.clear();
        }
        let block = endian.u32(rest, 4).and_then(|length| rest.get(..length as usize));
        let Some(block) = block.filter(|block| block.len() >= 12) else { break };
        let body = &block[8..block.len() - 4];
        let is_good = match kind {
            1 => {
                interfaces.push(Interface::parse(endian, body));
                interfaces.last().is_some_and(Option::is_some)
            }
            3 | 6 => match packet_of(kind, endian, body, &interfaces) {
                Some((micros, link, packet)) => {
                    capture.take(micros, link, packet);
                    true
                }
                None => false,
            },
            _ => true,
        };
        capture.skipped += u64::from(!is_good);
        // Blocks are padded to 32 bits; a length that is not is taken as it stands.
        rest = &rest[block.len()..];
    }
    capture.is_cut_off = !rest.is_empty();
    Some(capture)
}

/// Time, link type and bytes of a simple (3) or enhanced (6) packet block.
fn packet_of<'a>(
    kind: u32,
    endian: Endian,
    body: &'a [u8],
    interfaces: &[Option<Interface>],
) -> Option<(u64, u32, &'a [u8])> {
    let interface = |index: u32| interfaces.get(index as usize)?.as_ref();
    if kind == 3 {
        return Some((0, interface(0)?.link, body.get(4..)?));
    }
    let interface = interface(endian.u32(body, 0)?)?;
    let ticks = u64::from(endian.u32(body, 4)?) << 32 | u64::from(endian.u32(body, 8)?);
    let packet = body.get(20..)?.get(..endian.u32(body, 12)? as usize)?;
    let micros = u128::from(ticks) * 1_000_000 / u128::from(interface.ticks_per_second);
    Some((u64::try_from(micros).unwrap_or(u64::MAX), interface.link, packet))
}

impl Interface {
    /// Reads the body of an interface block.
    fn parse(endian: Endian, body: &[u8]) -> Option<Self> {
        let link = endian.u16(body, 0)?.into();
        Some(Self { link, ticks_per_second: resolution(endian, body) })
    }
}

/// The option if_tsresol of an interface; microseconds if there is none.
fn resolution(endian: Endian, body: &[u8]) -> u64 {
    let mut options = body.get(8..).unwrap_or_default();
    while let Some((code, length)) = endian.u16(options, 0).zip(endian.u16(options, 2)) {
        let value = options.get(4..4 + usize::from(length)).unwrap_or_default();
        if let (9, [value]) = (code, value) {
            let exponent = u32::from(value & 0x7f);
            let base = if value & 0x80 == 0 { 10_u64 } else { 2 };
            return base.checked_pow(exponent).unwrap_or(1_000_000);
        }
        match options.get(4 + usize::from(length).next_multiple_of(4)..) {
            Some(next) if code != 0 => options = next,
            _ => break,
        }
    }
    1_000_000
}

impl Capture {
    fn take(&mut self, micros: u64, link: u32, packet: &[u8]) {
        match ip_of(link, packet).and_then(udp_of) {
            Some((from, to, bytes)) => {
                self.datagrams.push(Captured { micros, from, to, bytes: bytes.to_vec() });
            }
            None => self.skipped += 1,
        }
    }
}

/// The IP packet in a frame.
fn ip_of(link: u32, frame: &[u8]) -> Option<&[u8]> {
    match link {
        // BSD loopback, either endianness.
        0 | 108 => frame.get(4..),
        1 => {
            let mut at = 12;
            // VLAN tags.
            while matches!(frame.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
                at += 4;
            }
            match frame.get(at..at + 2)? {
                [0x08, 0x00] | [0x86, 0xdd] => frame.get(at + 2..),
                _ => None,
            }
        }
        // Raw IP has had several numbers.
        12 | 14 | 101 | 228 | 229 => Some(frame),
        // Linux "any", versions 1 and 2.
        113 => frame.get(16..),
        276 => frame.get(20..),
        _ => None,
    }
}

/// Addresses and payload of a whole UDP datagram.
fn udp_of(ip: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    let (from, to, udp): (IpAddr, IpAddr, &[u8]) = match ip.first()? >> 4 {
        4 => {
            let header = usize::from(ip[0] & 15) * 4;
            let address = |at: usize| Some(Ipv4Addr::from(*ip.get(at..)?.first_chunk::<4>()?));
            // More fragments, or not the first one.
            let fragment = u16::from_be_bytes(*ip.get(6..)?.first_chunk()?) & 0x3fff;
            if *ip.get(9)? != UDP || fragment != 0 {
                return None;
            }
            (address(12)?.into(), address(16)?.into(), ip.get(header..)?)
        }
        6 => {
            let address = |at: usize| Some(Ipv6Addr::from(*ip.get(at..)?.first_chunk::<16>()?));
            if *ip.get(6)? != UDP {
                return None;
            }
            (address(8)?.into(), address(24)?.into(), ip.get(40..)?)
        }
        _ => return None,
    };
    let word = |at: usize| Some(u16::from_be_bytes(*udp.get(at..)?.first_chunk()?));
    let bytes = udp.get(8..usize::from(word(4)?))?;
    Some((SocketAddr::new(from, word(0)?), SocketAddr::new(to, word(2)?), bytes))
}

#[cfg(test)]
mod tests;
