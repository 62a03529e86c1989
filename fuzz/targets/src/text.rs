//! Everything that reads text or a file: no panic, and what was read is read again from its own text.

use core::fmt::{Debug, Display};
use core::str::FromStr;

use torque_proto::identity::origin::{MAX_ORIGIN_TOKEN, OriginToken};
use torque_proto::identity::{Credential, TorqueUrl};
use torque_proto::{Cipher, KeyPair, PublicKey, Settings};

/// Reads the input as everything that it might be.
pub fn text(data: &[u8]) {
    if let Ok(credential) = Credential::parse(data) {
        assert_eq!(credential.to_bytes(), data, "a credential is written as it was read");
        let subject = credential.subject();
        // Nothing made by a fuzzer is signed by an authority unless it was signed by one for real.
        let _ = credential.verify(subject, &[credential.authority()], 0);
    }
    if let Ok((credential, rest)) = Credential::parse_prefix(data) {
        assert_eq!(credential.to_bytes().len() + rest.len(), data.len());
    }
    if let Ok(token) = OriginToken::parse(data) {
        assert!(data.len() <= MAX_ORIGIN_TOKEN && !token.origin().is_empty() && token.origin() != "null");
        let key = token.gateway();
        let address = ([192, 0, 2, 7], 4_433).into();
        let _ = token.verify(&key, &key, address, 1_900_000_000);
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    reads_itself::<TorqueUrl>(text);
    reads_itself::<PublicKey>(text);
    reads_itself::<Settings>(text);
    reads_itself::<Cipher>(text);
    if let Ok(pair) = KeyPair::from_secret_text(text) {
        let again = KeyPair::from_secret_text(&pair.to_secret_text()).expect("its own text");
        assert_eq!(again.public(), pair.public());
        assert!(!format!("{pair:?}").contains(&pair.to_secret_text()[3..]), "a secret in debug output");
    }
}

fn reads_itself<T: FromStr + Display + PartialEq + Debug>(text: &str)
where
    T::Err: Display + Debug,
{
    match text.parse::<T>() {
        Ok(value) => {
            let again = value.to_string().parse::<T>().expect("its own text");
            assert_eq!(again, value);
        }
        Err(error) => assert!(!error.to_string().is_empty(), "an error without words"),
    }
}
