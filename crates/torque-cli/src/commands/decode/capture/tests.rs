use super::*;

/// An IPv4 packet with a UDP datagram, checksums left out.
fn ip_packet(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, UDP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    packet.extend_from_slice(&[0x9c, 0x40, 0x6d, 0x60]);
    packet.extend_from_slice(&(payload.len() as u16 + 8).to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(payload);
    packet
}

fn pcap(link: u32, little: bool, frames: &[Vec<u8>]) -> Vec<u8> {
    let word = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let mut file = word(0xa1b2_c3d4).to_vec();
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&word(link));
    for frame in frames {
        for value in [7, 5, frame.len() as u32, frame.len() as u32] {
            file.extend_from_slice(&word(value));
        }
        file.extend_from_slice(frame);
    }
    file
}

/// A block of a pcapng file.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = (12 + padded as u32).to_le_bytes();
    let mut block = [&kind.to_le_bytes()[..], &length, body].concat();
    block.resize(8 + padded, 0);
    block.extend_from_slice(&length);
    block
}

fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file =
        block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    // Raw IP, with nanoseconds as its resolution.
    file.extend(block(1, &[101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]));
    for frame in frames {
        let nanos = 7_000_005_000_u64;
        let mut body = vec![0; 4];
        body.extend_from_slice(&((nanos >> 32) as u32).to_le_bytes());
        body.extend_from_slice(&(nanos as u32).to_le_bytes());
        body.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        body.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        body.extend_from_slice(frame);
        file.extend(block(6, &body));
    }
    file
}

fn check(capture: Option<Capture>) {
    let capture = capture.unwrap();
    let expected = Captured {
        micros: 7_000_005,
        from: "192.0.2.1:40000".parse().unwrap(),
        to: "192.0.2.2:28000".parse().unwrap(),
        bytes: b"hello".to_vec(),
    };
    assert_eq!(capture.datagrams, [expected]);
    assert!(!capture.is_cut_off);
}

#[test]
fn datagrams_are_found_in_every_kind_of_file_and_link() {
    let ip = ip_packet(b"hello");
    let ethernet = [&[0; 12][..], &[8, 0], &ip].concat();
    let tagged = [&[0; 12][..], &[0x81, 0, 0, 5, 8, 0], &ip].concat();
    let frames = [
        (101, ip.clone()),
        (1, ethernet),
        (1, tagged),
        (0, [&[2, 0, 0, 0][..], &ip].concat()),
        (113, [&[0; 16][..], &ip].concat()),
        (276, [&[0; 20][..], &ip].concat()),
    ];
    for (link, frame) in frames {
        for little in [false, true] {
            check(read(&pcap(link, little, std::slice::from_ref(&frame))));
        }
    }
    check(read(&pcapng(&[ip])));
}

#[test]
fn what_is_no_udp_or_only_a_part_of_it_is_skipped_and_nothing_breaks() {
    let ip = ip_packet(b"hello");
    let mut tcp = ip.clone();
    tcp[9] = 6;
    let mut fragment = ip.clone();
    fragment[7] = 1;
    let capture = read(&pcap(101, true, &[tcp, fragment, ip[..30].to_vec(), vec![]])).unwrap();
    assert_eq!((capture.datagrams.len(), capture.skipped), (0, 4));

    assert!(read(b"").is_none());
    assert!(read(b"no capture").is_none());
    for whole in [pcap(101, true, std::slice::from_ref(&ip)), pcapng(std::slice::from_ref(&ip))] {
        for end in 0..whole.len() {
            // Whatever is there is told, never more.
            if let Some(capture) = read(&whole[..end]) {
                assert!(capture.datagrams.len() <= 1);
            }
        }
    }
}

#[test]
fn malformed_blocks_are_skipped_and_counted_and_the_others_are_read() {
    let whole = pcapng(&[ip_packet(b"hello")]);
    let (head, packet) = whole.split_at(whole.len() - block(6, &[0; 20 + 33]).len());
    // Packets and an interface that are too short, and a packet of that interface.
    let of_second = [&[1, 0, 0, 0][..], &[0; 16]].concat();
    for malformed in [
        vec![block(6, &[])],
        vec![block(6, &[0; 4])],
        vec![block(6, &[0; 16])],
        vec![block(1, &[]), block(6, &of_second)],
    ] {
        let capture = read(&[head, &malformed.concat(), packet].concat()).unwrap();
        assert_eq!((capture.datagrams.len(), capture.skipped), (1, malformed.len() as u64), "{malformed:x?}");
        assert!(!capture.is_cut_off);
    }
    // Of what follows a head of an unknown byte order nothing can be read.
    let unknown = block(0x0a0d_0d0a, &[9; 16]);
    let capture = read(&[&whole[..], &unknown, packet].concat()).unwrap();
    assert_eq!((capture.datagrams.len(), capture.skipped, capture.is_cut_off), (1, 1, true));
    assert!(read(&unknown).is_none());
}
