use super::*;

use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("torque-gateway-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn certificates(&self) -> Certificates {
        Certificates::Files { chain: self.0.join("chain.pem"), key: self.0.join("key.pem") }
    }

    /// Writes a certificate and a key, which belong together or not.
    fn write(&self, certificate: &wtransport::Identity, key: &wtransport::Identity) {
        let chain = certificate.certificate_chain().as_slice()[0].to_pem();
        std::fs::write(self.0.join("chain.pem"), chain).unwrap();
        std::fs::write(self.0.join("key.pem"), key.private_key().to_secret_pem()).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn identity() -> wtransport::Identity {
    wtransport::Identity::self_signed(["gw.example"]).unwrap()
}

fn shown(store: &CertificateStore) -> Vec<u8> {
    match &*store.state() {
        State::Development { shown, .. } => shown.certified.cert[0].to_vec(),
        State::Files { shown, .. } => shown.cert[0].to_vec(),
    }
}

fn hash(der: &[u8]) -> [u8; 32] {
    *wtransport::tls::Certificate::from_der(der.to_vec()).unwrap().hash().as_ref()
}

#[test]
fn a_development_certificate_is_used_a_day_after_its_hash_is_listed() {
    let start = SystemTime::now();
    let store = CertificateStore::new(&Certificates::Development, start).unwrap();
    let hour = Duration::from_secs(3_600);
    let mut listed_since = std::collections::HashMap::new();
    let mut shown_certificates = Vec::new();
    for hours in 0..24 * 60 {
        let now = start + hour * hours;
        let is_another = store.renew(now).unwrap();
        let hashes = store.hashes();
        assert!((1..=2).contains(&hashes.len()));
        for hash in &hashes {
            listed_since.entry(*hash).or_insert(now);
        }
        let certificate = shown(&store);
        let shown_hash = hash(&certificate);
        assert!(hashes.contains(&shown_hash), "what is shown is listed");
        assert_eq!(
            is_another,
            !shown_certificates.is_empty() && shown_certificates.last() != Some(&shown_hash)
        );
        if shown_certificates.last() != Some(&shown_hash) {
            let listed_for = now.duration_since(listed_since[&shown_hash]).unwrap();
            assert!(shown_certificates.is_empty() || listed_for >= DAY, "{listed_for:?}");
            shown_certificates.push(shown_hash);
        }
    }
    assert_eq!(shown_certificates.len(), 12, "sixty days, five each");
}

#[test]
fn a_development_certificate_is_one_that_browsers_accept_by_hash() {
    let now = SystemTime::now();
    let made = Made::new(&ring::default_provider(), now).unwrap();
    let scheme = made.certified.key.algorithm();
    assert_eq!(scheme, tokio_rustls::rustls::SignatureAlgorithm::ECDSA);
    // The client's check by hash knows the same conditions, and the time.
    let verifier = wtransport::tls::client::ServerHashVerification::new([made.hash.into()]);
    let verify = |at: SystemTime| {
        use tokio_rustls::rustls::client::danger::ServerCertVerifier;
        use tokio_rustls::rustls::pki_types::UnixTime;
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let name = "localhost".try_into().unwrap();
        let certificate = &made.certified.cert[0];
        verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::since_unix_epoch(since)).is_ok()
    };
    assert!(verify(now) && verify(now - DAY / 2), "a clock may be behind");
    assert!(verify(now + SHOWN_UNTIL), "as long as it may be shown");
    assert!(!verify(now + 14 * DAY) && !verify(now - 2 * DAY));
}

#[test]
fn after_a_long_sleep_there_is_a_fresh_certificate_at_once() {
    let start = SystemTime::now();
    let store = CertificateStore::new(&Certificates::Development, start).unwrap();
    let old = shown(&store);
    assert!(store.renew(start + 300 * DAY).unwrap());
    assert_ne!(shown(&store), old);
    assert_eq!(store.hashes(), [hash(&shown(&store))]);
}

#[test]
fn a_certificate_that_was_made_under_a_wrong_clock_is_not_kept() {
    let right = SystemTime::now();
    for wrong in [right + 30 * DAY, right + 2 * DAY, right - 30 * DAY] {
        let store = CertificateStore::new(&Certificates::Development, wrong).unwrap();
        let old = shown(&store);
        assert!(!store.is_stale(wrong) && store.is_stale(right));
        assert!(store.renew(right).unwrap());
        assert_ne!(shown(&store), old);
        assert_eq!(store.hashes(), [hash(&shown(&store))]);
        assert!(!store.is_stale(right));
    }
    // An hour changes nothing: it is valid since a day ago.
    let store = CertificateStore::new(&Certificates::Development, right + DAY / 24).unwrap();
    assert!(!store.is_stale(right) && !store.renew(right).unwrap());
}

#[test]
fn a_next_certificate_that_was_made_under_a_wrong_clock_is_made_again() {
    let start = SystemTime::now();
    let store = CertificateStore::new(&Certificates::Development, start).unwrap();
    let ahead = start + 8 * DAY;
    assert!(!store.renew(ahead).unwrap());
    let [shown, wrong_next] = store.hashes()[..] else { panic!("the next is listed") };
    // Put right, and then it is time.
    assert!(store.is_stale(start) && !store.renew(start).unwrap());
    assert_eq!(store.hashes(), [shown]);
    assert!(!store.renew(start + 5 * DAY).unwrap());
    let [_, next] = store.hashes()[..] else { panic!("the next is listed") };
    assert_ne!(next, wrong_next);
}

#[test]
fn changed_files_are_read_again_and_unusable_ones_change_nothing() {
    let (directory, now) = (Directory::new(), SystemTime::now());
    let (first, second) = (identity(), identity());
    directory.write(&first, &first);
    let store = CertificateStore::new(&directory.certificates(), now).unwrap();
    assert_eq!(shown(&store), first.certificate_chain().as_slice()[0].der());
    assert_eq!(store.hashes(), Vec::<[u8; 32]>::new(), "they are known to browsers");
    assert!(!store.renew(now).unwrap(), "nothing has changed");

    directory.write(&second, &first);
    assert!(matches!(store.renew(now), Err(CertificateError::Unusable(_))), "they do not belong together");
    assert!(!store.renew(now).unwrap(), "reported once");
    std::fs::write(directory.0.join("chain.pem"), "half a certif").unwrap();
    assert!(matches!(store.renew(now), Err(CertificateError::Content { .. })));
    std::fs::remove_file(directory.0.join("chain.pem")).unwrap();
    assert!(matches!(store.renew(now), Err(CertificateError::Unreadable { .. })));
    assert_eq!(shown(&store), first.certificate_chain().as_slice()[0].der());

    directory.write(&second, &second);
    assert!(store.renew(now).unwrap());
    assert_eq!(shown(&store), second.certificate_chain().as_slice()[0].der());
}

#[test]
fn a_start_without_good_files_says_what_is_wrong_and_no_secret() {
    let (directory, now) = (Directory::new(), SystemTime::now());
    let fails = || CertificateStore::new(&directory.certificates(), now).unwrap_err().to_string();
    assert!(fails().contains("chain.pem"));
    let good = identity();
    directory.write(&good, &good);
    std::fs::write(directory.0.join("key.pem"), "my secret").unwrap();
    let error = fails();
    assert!(
        error.contains("key.pem") && error.contains("private key") && !error.contains("my secret"),
        "{error}"
    );
    directory.write(&good, &identity());
    assert!(fails().contains("belong together"));
    let store = {
        directory.write(&good, &good);
        CertificateStore::new(&directory.certificates(), now).unwrap()
    };
    let shown = format!("{store:?}");
    let secret = good.private_key().secret_der();
    assert!(!shown.contains(&format!("{:?}", &secret[..8])), "{shown}");
}

#[cfg(unix)]
#[test]
fn a_certificate_is_shown_while_files_are_read_that_take_their_time() {
    let directory = Directory::new();
    let (first, second) = (identity(), identity());
    directory.write(&first, &first);
    let store = CertificateStore::new(&directory.certificates(), SystemTime::now()).unwrap();
    directory.write(&second, &second);
    let chain = directory.0.join("chain.pem");
    let pem = std::fs::read(&chain).unwrap();
    std::fs::remove_file(&chain).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&chain).status().unwrap().success());
    std::thread::scope(|scope| {
        let renewing = scope.spawn(|| store.renew(SystemTime::now()).unwrap());
        // It opens once it is opened for reading.
        let mut writer = std::fs::OpenOptions::new().write(true).open(&chain).unwrap();
        let is_free = store.state.try_lock().is_ok();
        std::io::Write::write_all(&mut writer, &pem).unwrap();
        drop(writer);
        assert!(renewing.join().unwrap());
        assert!(is_free);
    });
    assert_eq!(shown(&store), second.certificate_chain().as_slice()[0].der());
}
