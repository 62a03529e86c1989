use super::*;
use crate::crypto::testing::{array, for_seeds, hex};

fn known_authority() -> KeyPair {
    KeyPair::from_seed(core::array::from_fn(|i| i as u8))
}

fn known_subject() -> PublicKey {
    KeyPair::from_seed(core::array::from_fn(|i| 32 + i as u8)).public()
}

fn known() -> Credential {
    Credential::sign(&known_authority(), known_subject(), 2_000_000_000, "north").unwrap()
}

#[test]
fn the_bytes_are_those_that_another_program_makes_of_the_document() {
    let wanted = "547143310129acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd700000000773594000103a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8056e6f727468a8bc71f69b5c8ab299b1df460433c7fa0ad649ed3b305ff38b7660e7d2c10404570cd2512bade326089f76c278e899481e79a759d4d53399d36a6376eea84805";
    assert_eq!(known().to_bytes(), hex(wanted));
}

#[test]
fn a_credential_holds_for_its_key_and_time_and_under_its_authority_only() {
    let (credential, authority, subject) = (known(), known_authority().public(), known_subject());
    let others = [KeyPair::from_seed([7; 32]).public(), KeyPair::from_seed([8; 32]).public()];
    assert_eq!(credential.verify(subject, &[others[0], authority], 1_999_999_999), Ok(()));
    assert_eq!(
        credential.verify(subject, &[authority], 2_000_000_000),
        Err(CredentialError::Expired { since_unix_seconds: 2_000_000_000 })
    );
    assert_eq!(credential.verify(others[0], &[authority], 0), Err(CredentialError::OtherSubject));
    let untrusted = Err(CredentialError::UntrustedAuthority(authority));
    assert_eq!(credential.verify(subject, &others, 0), untrusted);
    assert_eq!(credential.verify(subject, &[], 0), untrusted);
}

#[test]
fn nothing_in_a_credential_can_be_changed() {
    let (authority, subject) = (known_authority().public(), known_subject());
    let bytes = known().to_bytes();
    for byte in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[byte] ^= 1 << bit;
            let outcome = Credential::parse(&changed).and_then(|c| c.verify(subject, &[authority], 0));
            assert!(outcome.is_err(), "byte {byte}, bit {bit}");
        }
    }
}

#[test]
fn a_credential_reads_back_alone_and_before_other_data() {
    for_seeds(10, |rng| {
        let authority = KeyPair::generate(rng);
        let name: String = (0..rng.below(33)).map(|_| if rng.below(2) == 0 { 'ß' } else { 'x' }).collect();
        let credential =
            Credential::sign(&authority, KeyPair::generate(rng).public(), rng.u64(), &name).unwrap();
        let mut bytes = credential.to_bytes();
        assert!(bytes.len() <= Credential::MAX_BYTES);
        assert_eq!(Credential::parse(&bytes).as_ref(), Ok(&credential));
        for length in 0..bytes.len() {
            let error = Credential::parse(&bytes[..length]).unwrap_err();
            assert_eq!(error == CredentialError::None, length < 4, "{length}");
        }
        bytes.extend_from_slice(b"more");
        assert_eq!(Credential::parse(&bytes), Err(CredentialError::Malformed));
        let (again, rest) = Credential::parse_prefix(&bytes).unwrap();
        assert_eq!((&again, rest), (&credential, b"more".as_slice()));
    });
}

#[test]
fn a_name_that_could_deceive_is_refused() {
    let (authority, subject) = (known_authority(), known_subject());
    for name in ["line\nbreak", "\u{1b}[2J", &"x".repeat(65), &"ß".repeat(33)] {
        assert_eq!(Credential::sign(&authority, subject, 0, name), Err(CredentialError::Name));
    }
    let mut longest = Credential::sign(&authority, subject, 0, &"x".repeat(64)).unwrap().to_bytes();
    assert_eq!(longest.len(), Credential::MAX_BYTES);
    longest[100] = b'\n';
    assert_eq!(Credential::parse(&longest), Err(CredentialError::Name));
    longest[100] = 0xff;
    assert_eq!(Credential::parse(&longest), Err(CredentialError::Name));
}

#[test]
fn random_bytes_are_refused_and_never_panic() {
    for_seeds(20, |rng| {
        for _ in 0..100 {
            let mut bytes = alloc::vec![0; rng.below(300) as usize];
            rng.fill(&mut bytes);
            if rng.below(2) == 0 && bytes.len() >= 5 {
                bytes[..5].copy_from_slice(&array::<5>("5471433101"));
            }
            assert!(Credential::parse(&bytes).is_err());
        }
    });
}
