use std::string::ToString;

use super::*;

#[test]
fn numbers_and_names_lead_back_to_their_cipher() {
    for cipher in Cipher::DEFAULT_OFFER {
        assert_eq!(Cipher::from_number(cipher.number()), Some(cipher));
        assert_eq!(cipher.to_string().parse(), Ok(cipher));
        assert_eq!(cipher.to_string().to_uppercase().parse(), Ok(cipher));
    }
    let known = (0..=255).filter(|number| Cipher::from_number(*number).is_some());
    assert!(known.eq([1, 2, 3]));
}

#[test]
fn an_unknown_name_is_told_which_there_are() {
    let error = "rot13".parse::<Cipher>().unwrap_err().to_string();
    assert!(Cipher::DEFAULT_OFFER.iter().all(|cipher| error.contains(cipher.name())), "{error}");
}

#[test]
fn only_the_short_tag_cipher_heeds_the_negotiated_length() {
    for negotiated in 4..=16 {
        assert_eq!(Cipher::Aes128Gcm.tag_bytes(negotiated), 16);
        assert_eq!(Cipher::ChaCha20Poly1305.tag_bytes(negotiated), 16);
        assert_eq!(Cipher::Aes128GcmSst.tag_bytes(negotiated), negotiated);
    }
}
