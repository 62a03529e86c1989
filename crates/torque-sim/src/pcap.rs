//! Writes captured datagrams as a pcap file, so that the usual tools can show a simulation.
//!
//! Packets are raw IP (link type 101) with UDP inside; addresses of carriers without IP appear as 240.x.x.x.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use torque_proto::{Address, Instant};

const LINKTYPE_RAW: u32 = 101;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;

/// Writes pcap records one after another.
pub struct PcapWriter<W> {
    out: W,
}

impl<W: Write> PcapWriter<W> {
    /// Starts a file.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&0xa1b2_c3d4u32.to_be_bytes())?;
        out.write_all(&[0, 2, 0, 4])?;
        out.write_all(&[0; 8])?;
        out.write_all(&65_535u32.to_be_bytes())?;
        out.write_all(&LINKTYPE_RAW.to_be_bytes())?;
        Ok(Self { out })
    }

    /// Adds a datagram, cut to the size of an IP packet.
    ///
    /// # Errors
    /// The errors of the writer.
    pub fn write(&mut self, at: Instant, from: Address, to: Address, datagram: &[u8]) -> io::Result<()> {
        let datagram = &datagram[..datagram.len().min(65_000)];
        let packet = ip_packet(socket_addr(from), socket_addr(to), datagram);
        let seconds = (at.as_micros() / 1_000_000) as u32;
        let micros = (at.as_micros() % 1_000_000) as u32;
        for figure in [seconds, micros, packet.len() as u32, packet.len() as u32] {
            self.out.write_all(&figure.to_be_bytes())?;
        }
        self.out.write_all(&packet)
    }

    /// Flushes and returns the writer.
    ///
    /// # Errors
    /// The errors of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn socket_addr(address: Address) -> SocketAddr {
    address.socket_addr().unwrap_or_else(|| {
        let number = address.virtual_number().unwrap_or_default().to_be_bytes();
        SocketAddr::new(
            IpAddr::V4(Ipv4Addr::new(240, number[5], number[6], number[7])),
            u16::from_be_bytes([number[3], number[4]]),
        )
    })
}

fn ip_packet(from: SocketAddr, to: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    let udp_len = (UDP_HEADER + datagram.len()) as u16;
    let (mut packet, addresses) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend((20 + udp_len).to_be_bytes());
            header.extend([0, 0, 0x40, 0, 64, UDP, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(&header, 0);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            (header, [from.octets(), to.octets()].concat())
        }
        (from, to) => {
            let (from, to) = (v6(from), v6(to));
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(udp_len.to_be_bytes());
            header.extend([UDP, 64]);
            header.extend(from);
            header.extend(to);
            (header, [from, to].concat())
        }
    };
    let mut udp = Vec::with_capacity(usize::from(udp_len));
    udp.extend(from.port().to_be_bytes());
    udp.extend(to.port().to_be_bytes());
    udp.extend(udp_len.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(datagram);
    let pseudo = partial_sum(&addresses, u32::from(UDP) + u32::from(udp_len));
    // In UDP, a checksum of zero means none.
    let sum = match checksum(&udp, pseudo) {
        0 => 0xffff,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    packet.extend(udp);
    packet
}

fn v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn partial_sum(bytes: &[u8], start: u32) -> u32 {
    bytes.chunks(2).fold(start, |sum, pair| {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        // Folded as it goes, so that it never overflows.
        let sum = sum + u32::from(word);
        (sum & 0xffff) + (sum >> 16)
    })
}

fn checksum(bytes: &[u8], start: u32) -> u16 {
    let sum = partial_sum(bytes, start);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

#[cfg(test)]
mod tests;
