use super::*;

#[test]
fn a_buffer_that_is_never_quite_empty_does_not_grow() {
    let mut transmits = Transmits::new(8);
    let remote = Address::from_virtual(1);
    for number in 0..10_000u32 {
        transmits.push(remote, None, |out| out.extend_from_slice(&[number as u8; 1_000]));
        if transmits.len() == 4 {
            let kept: Vec<u8> = transmits.iter().map(|transmit| transmit.bytes[999]).collect();
            assert_eq!(kept, [3, 2, 1, 0].map(|back| (number - back) as u8));
            transmits.consume(3);
        }
    }
    assert!(transmits.bytes.len() < 300_000, "{} bytes for 4 datagrams", transmits.bytes.len());
}
