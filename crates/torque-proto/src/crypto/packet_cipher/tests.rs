use super::*;
use crate::crypto::testing::{array, hex};

#[test]
fn aes_128_gcm_gives_the_value_of_its_specification() {
    // McGrew and Viega, test case 4.
    let mut key = [0; MAX_KEY];
    key[..16].copy_from_slice(&hex("feffe9928665731c6d6a8f9467308308"));
    // Its nonce, less what marks the data packet with sequence 0.
    let salt = array("cafebabffacedbaddecaf888");
    let cipher = PacketCipher { salt, sealer: Sealer::new(Cipher::Aes128Gcm, &key) };
    let nonce = Nonce::data(cipher.salt(), 0);
    let mut text = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    let ad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let tag = cipher.seal(nonce, &ad, &mut text).unwrap();
    assert_eq!(
        text,
        hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091")
    );
    assert_eq!(tag.as_slice(), hex("5bc94fbc3221a5db94fae95ae7121a47"));
}
