use super::*;

fn address(text: &str) -> Address {
    text.parse::<SocketAddr>().unwrap().into()
}

fn file(from: Address, to: Address, datagram: &[u8]) -> Vec<u8> {
    let mut pcap = PcapWriter::new(Vec::new()).unwrap();
    pcap.write(Instant::from_micros(3_000_005), from, to, datagram).unwrap();
    pcap.finish().unwrap()
}

#[test]
fn a_record_is_an_ip_packet_with_true_checksums() {
    let bytes = file(address("10.0.0.1:4000"), address("10.0.0.2:5000"), b"hello");
    assert_eq!(bytes[..4], [0xa1, 0xb2, 0xc3, 0xd4]);
    assert_eq!(bytes[20..24], [0, 0, 0, 101]);
    assert_eq!(bytes[24..40], [0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 33, 0, 0, 0, 33]);
    let packet = &bytes[40..];
    assert_eq!(packet.len(), 20 + 8 + 5);
    // A sum over a header that holds its own checksum is zero.
    assert_eq!(checksum(&packet[..20], 0), 0);
    assert_eq!(packet[20..26], [0x0f, 0xa0, 0x13, 0x88, 0, 13]);
    let pseudo = partial_sum(&packet[12..20], 17 + 13);
    assert_eq!(checksum(&packet[20..], pseudo), 0);
    assert_eq!(packet[28..], *b"hello");
}

#[test]
fn addresses_of_every_kind_are_written() {
    let v6 = file(address("[fe80::1]:1"), address("[fe80::2]:2"), &[1, 2, 3]);
    assert_eq!(v6.len(), 40 + 40 + 8 + 3);
    assert_eq!(v6[40], 0x60);
    let carrier = file(Address::from_virtual(0x01_0203), address("10.0.0.2:5000"), &[]);
    assert_eq!(carrier[40 + 12..40 + 16], [240, 1, 2, 3]);
    let long = file(address("10.0.0.1:1"), address("10.0.0.2:2"), &[0; 65_535]);
    assert_eq!(long.len(), 40 + 28 + 65_000);
}
