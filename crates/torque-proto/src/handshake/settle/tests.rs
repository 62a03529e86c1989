use super::*;

fn settings(packet_window: u16, tag_bytes: u8) -> Settings {
    Settings { packet_window, tag_bytes, ..Settings::default() }
}

#[test]
fn the_smaller_window_and_the_longer_tag_win() {
    let cipher = Cipher::Aes128GcmSst;
    for own in [settings(8, 8), settings(128, 4), settings(32_768, 16)] {
        for wishes in [settings(64, 4), settings(2_048, 12), settings(32_768, 16)] {
            for least in [4, 8, 16] {
                let outcome = settle(cipher, &own, least, &wishes);
                assert_eq!(outcome.settings.packet_window, own.packet_window.min(wishes.packet_window));
                let longest = own.tag_bytes.max(wishes.tag_bytes).max(least);
                assert_eq!(outcome.settings.tag_bytes, longest);
                let taken = check_answer(cipher, &wishes, &outcome.settings).unwrap();
                assert_eq!(taken.settings.packet_window, outcome.settings.packet_window);
                assert_eq!(taken.settings.tag_bytes, outcome.settings.tag_bytes);
            }
        }
    }
}

#[test]
fn ciphers_with_whole_tags_use_sixteen_bytes_and_nothing_else() {
    for cipher in [Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305] {
        let wishes = settings(128, 8);
        let outcome = settle(cipher, &wishes, 8, &wishes);
        assert_eq!(outcome.settings.tag_bytes, 16);
        assert!(check_answer(cipher, &wishes, &outcome.settings).is_some());
        assert!(check_answer(cipher, &wishes, &settings(128, 8)).is_none());
    }
}

#[test]
fn each_side_sets_its_own_delay_and_keeps_to_the_smaller_size() {
    let mut own = settings(128, 8);
    own.ack_delay = Duration::from_millis(5);
    own.max_packet_size = 1_400;
    let mut wishes = settings(128, 8);
    wishes.ack_delay = Duration::from_millis(70);
    wishes.max_packet_size = 1_300;
    let at_host = settle(Cipher::Aes128GcmSst, &own, 8, &wishes);
    let at_initiator = check_answer(Cipher::Aes128GcmSst, &wishes, &at_host.settings).unwrap();
    assert_eq!(at_host.remote_ack_delay, Duration::from_millis(70));
    assert_eq!(at_initiator.remote_ack_delay, Duration::from_millis(5));
    assert_eq!(at_initiator.settings.ack_delay, Duration::from_millis(70));
    assert_eq!((at_host.send_limit(), at_initiator.send_limit()), (1_300, 1_300));
}
