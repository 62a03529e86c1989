use super::*;
use crate::introduction::IntroductionId;

#[test]
fn the_prologue_is_every_challenge_field_in_the_documents_order() {
    let offers = Offers::from_bytes([3, 1, 0, 0]).unwrap();
    let mut transcript = Transcript {
        application_id: b"tanks 7",
        initiator_nonce: &[0x11; 16],
        offers,
        epoch_start: 0x0102_0304_0506_0708,
        epoch_key: &[0x22; 32],
        signature: &[0x33; 64],
        identity_token: &[0x44; 16],
        difficulty: 9,
        cipher: 3,
        host_key: &[0x55; 32],
        data_digest: &[0x66; 32],
        introduction: None,
    };
    let fields: [&[u8]; 15] = [
        b"TorqueSocket v1",
        &[1],
        &[7],
        b"tanks 7",
        &[0x11; 16],
        &[3, 1, 0, 0],
        &[1, 2, 3, 4, 5, 6, 7, 8],
        &[0x22; 32],
        &[0x33; 64],
        &[0x44; 16],
        &[9],
        &[3, 1],
        &[0x55; 32],
        &[0x66; 32],
        &[0; 8],
    ];
    assert_eq!(transcript.prologue(), fields.concat());

    let id = IntroductionId::from_u64(0x0a0b).unwrap();
    transcript.introduction = Some(Claim { id, data_digest: [0x77; 32] });
    let [before @ .., _] = &fields;
    let introduced: [&[u8]; 3] = [&before.concat(), &[0, 0, 0, 0, 0, 0, 0x0a, 0x0b], &[0x77; 32]];
    assert_eq!(transcript.prologue(), introduced.concat());
}

#[test]
fn the_application_tag_begins_the_hash_of_its_label_and_the_id() {
    let digest = sha256(&[b"TorqueSocket applicationtanks 7"]);
    assert_eq!(application_tag(b"tanks 7"), digest[..8]);
    assert_ne!(application_tag(b"tanks 7"), application_tag(b"tanks 8"));
}
