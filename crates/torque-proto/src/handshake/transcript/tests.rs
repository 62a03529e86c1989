use super::*;

#[test]
fn the_prologue_is_every_challenge_field_in_the_documents_order() {
    let offers = Offers::from_bytes([3, 1, 0, 0]).unwrap();
    let transcript = Transcript {
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
        introduction_id: 0x0a0b,
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
        &[0, 0, 0, 0, 0, 0, 0x0a, 0x0b],
    ];
    assert_eq!(transcript.prologue(), fields.concat());
}

#[test]
fn the_application_tag_begins_the_hash_of_its_label_and_the_id() {
    let digest = sha256(&[b"TorqueSocket applicationtanks 7"]);
    assert_eq!(application_tag(b"tanks 7"), digest[..8]);
    assert_ne!(application_tag(b"tanks 7"), application_tag(b"tanks 8"));
}
