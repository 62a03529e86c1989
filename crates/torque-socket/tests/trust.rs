//! Keys in files and judgements about keys.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use common::{loopback, reach, turns};
use torque_socket::key_file::{self, KeyFileError};
use torque_socket::trust::{Judge, Judgement, KnownHosts, KnownHostsError, Reason};
use torque_socket::{CloseCode, ConnectError, ConnectionId, Credential, Event, KeyPair, Socket, Trust};

/// A fresh directory, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("torque-socket-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pair(seed: u8) -> KeyPair {
    KeyPair::from_seed([seed; 32])
}

#[test]
fn a_key_file_is_made_once_and_only_its_owner_can_read_it() {
    let dir = Dir::new("key");
    let path = dir.file("server.key");
    assert!(matches!(key_file::load(&path), Err(KeyFileError::NotFound { .. })));
    let made = key_file::load_or_create(&path).unwrap().public();
    assert_eq!(key_file::load_or_create(&path).unwrap().public(), made);
    assert_eq!(key_file::load(&path).unwrap().public(), made);
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1, "no draft is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = key_file::load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::ReadableByOthers { .. }));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
}

#[test]
fn threads_that_make_a_key_file_at_the_same_time_get_the_same_key() {
    let dir = Dir::new("key-race");
    for round in 0..20 {
        let path = dir.file(&format!("{round}.key"));
        let together = Barrier::new(8);
        let keys: Vec<_> = thread::scope(|threads| {
            let make = || {
                together.wait();
                key_file::load_or_create(&path).unwrap().public()
            };
            let threads = [(); 8].map(|()| threads.spawn(make));
            threads.map(|thread| thread.join().unwrap()).into()
        });
        assert_eq!(keys, [key_file::load(&path).unwrap().public(); 8]);
    }
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 20, "no draft is left");
}

#[test]
fn a_file_with_something_else_is_no_key_and_is_not_repeated() {
    let dir = Dir::new("not-a-key");
    let path = dir.file("server.key");
    let secret = pair(5).to_secret_text();
    let mut broken = secret.to_string();
    broken.replace_range(10..11, if &broken[10..11] == "a" { "b" } else { "a" });
    for text in ["", "hello", broken.as_str()] {
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let error = key_file::load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::NotAKey { .. }), "{error:?}");
        assert!(text.is_empty() || !format!("{error} {error:?}").contains(text));
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "the file is left alone");
    }
}

#[test]
fn known_hosts_are_trusted_on_first_use_and_missed_when_they_change() {
    let dir = Dir::new("known");
    let path = dir.file("known_hosts");
    let [old, new] = [1, 2].map(|seed| pair(seed).public());
    let mut known = KnownHosts::load(&path).unwrap();
    let judge = |known: &KnownHosts, key| {
        Judge { known_hosts: Some(known), ..Judge::default() }.judge("Pond.org:1", key, b"")
    };
    assert_eq!(judge(&known, old), Judgement::Unknown);
    known.remember("pond.org:1", old).unwrap();
    assert_eq!(judge(&known, old), Judgement::Trusted(Reason::Known));
    let known = KnownHosts::load(&path).unwrap();
    assert_eq!(judge(&known, old), Judgement::Trusted(Reason::Known), "it is in the file");
    assert_eq!(judge(&known, new), Judgement::Mismatch { expected: old });
}

#[test]
fn the_known_hosts_file_keeps_what_others_wrote() {
    let dir = Dir::new("shared");
    let path = dir.file("known_hosts");
    let keys = [1, 2, 3].map(|seed| pair(seed).public());
    fs::write(&path, format!("# my hosts\n\na:1 {}", keys[0])).unwrap();
    let mut one = KnownHosts::load(&path).unwrap();
    let mut other = KnownHosts::load(&path).unwrap();
    one.remember("b:2", keys[1]).unwrap();
    other.remember("c:3", keys[2]).unwrap();
    other.forget("A:1").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("# my hosts\n\nb:2 {}\nc:3 {}\n", keys[1], keys[2]));
    assert_eq!(other.iter().collect::<Vec<_>>(), [("b:2", keys[1]), ("c:3", keys[2])]);
    for host in ["", "two words", "#x", "tab\there"] {
        assert!(matches!(one.remember(host, keys[0]), Err(KnownHostsError::BadHost(_))), "{host:?}");
    }
    for line in ["alone", "a:1 tk1nonsense", "a b c"] {
        fs::write(&path, format!("# comment\n{line}\n")).unwrap();
        let error = KnownHosts::load(&path).unwrap_err();
        assert!(matches!(error, KnownHostsError::BadLine { line: 2, .. }), "{error:?}");
    }
}

/// Hosts that each thread or program adds.
const HOSTS: usize = 10;

fn add_hosts(path: &Path, own: &str) {
    for number in 0..HOSTS {
        KnownHosts::load(path).unwrap().remember(&format!("{own}-{number}:1"), pair(1).public()).unwrap();
    }
}

/// The program of the next test.
#[test]
fn as_a_program_that_adds_hosts() {
    if let (Some(path), Some(own)) = (env::var_os("TORQUE_TEST_HOSTS"), env::var_os("TORQUE_TEST_OWN")) {
        add_hosts(Path::new(&path), own.to_str().unwrap());
    }
}

#[test]
fn known_hosts_of_several_threads_and_programs_are_all_kept() {
    let dir = Dir::new("hosts-race");
    let path = dir.file("known_hosts");
    let programs = [0, 1, 2, 3].map(|number| {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "as_a_program_that_adds_hosts"])
            .env("TORQUE_TEST_HOSTS", &path)
            .env("TORQUE_TEST_OWN", format!("program-{number}"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    });
    thread::scope(|threads| {
        for number in 0..4 {
            let path = &path;
            threads.spawn(move || add_hosts(path, &format!("thread-{number}")));
        }
    });
    for mut program in programs {
        assert!(program.wait().unwrap().success());
    }
    assert_eq!(KnownHosts::load(&path).unwrap().iter().count(), 8 * HOSTS);
}

#[test]
fn a_signature_of_a_trusted_authority_is_enough_and_only_that() {
    let (authority, host) = (pair(1), pair(2));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let show = |expires| Credential::sign(&authority, host.public(), expires, "pond 1").unwrap().to_bytes();
    let authorities = [authority.public()];
    let judge = Judge { authorities: &authorities, ..Judge::default() };
    let good = Judgement::Trusted(Reason::Signed { name: "pond 1".into(), authority: authority.public() });
    assert_eq!(judge.judge("h", host.public(), &show(now + 60)), good);
    assert_eq!(judge.judge("h", host.public(), &show(now - 1)), Judgement::Unknown, "expired");
    assert_eq!(judge.judge("h", pair(3).public(), &show(now + 60)), Judgement::Unknown, "about another key");
    assert_eq!(
        Judge::default().judge("h", host.public(), &show(now + 60)),
        Judgement::Unknown,
        "nobody is trusted"
    );
    // An authority vouches for a host that has changed its key; nobody does for another.
    let mut known = KnownHosts::in_memory();
    known.remember("h", pair(9).public()).unwrap();
    let judge = Judge { known_hosts: Some(&known), ..judge };
    assert_eq!(judge.judge("h", host.public(), &show(now + 60)), good);
    assert_eq!(judge.judge("h", host.public(), b""), Judgement::Mismatch { expected: pair(9).public() });
    // A pin is above all.
    let judge = Judge { pinned: Some(pair(4).public()), ..judge };
    assert_eq!(
        judge.judge("h", host.public(), &show(now + 60)),
        Judgement::Mismatch { expected: pair(4).public() }
    );
    assert_eq!(judge.judge("h", pair(4).public(), b""), Judgement::Trusted(Reason::Pinned));
}

#[test]
fn a_key_in_the_url_and_a_question_both_decide() {
    let config = common::hasty();
    let (mut host, mut client) = (loopback(), Socket::builder().config(config).client().unwrap());
    let (key, address) = (host.public_key(), reach(&host));
    let id = client.connect(format!("torque://{key}@{address}"), Trust::Ask).unwrap();
    let mut asked = false;
    turns(&mut [&mut host, &mut client], |socket, _, event| {
        match event {
            Event::ChallengeResponse(shown) => {
                assert_eq!((shown.connection, shown.public_key), (id, key));
                asked = true;
                socket.accept_challenge(id).unwrap();
            }
            Event::ConnectRequest(request) => {
                assert!(asked, "the application was not asked");
                socket.accept_connection(request.connection, b"").unwrap();
            }
            Event::Established { .. } => {}
            other => panic!("{other:?}"),
        }
        client_is_connected(socket, id)
    });
    // A host with another key is not shown.
    let mut client = Socket::builder().config(common::hasty()).client().unwrap();
    let other = pair(9).public();
    client.connect(format!("torque://{other}@{address}"), Trust::Ask).unwrap();
    turns(&mut [&mut host, &mut client], |_, index, event| match event {
        Event::Close { code, .. } if index == 1 => {
            assert_eq!(code, CloseCode::KeyMismatch);
            true
        }
        // Of the first client.
        _ if index == 0 => false,
        other => panic!("{other:?}"),
    });
    let two = client.connect(format!("torque://{other}@{address}"), Trust::AskPinned(key));
    assert_eq!(two, Err(ConnectError::TwoPins { url: other, options: key }));
}

fn client_is_connected(socket: &Socket, id: ConnectionId) -> bool {
    socket.max_packet_size(id).is_some()
}

#[test]
fn a_challenge_on_the_wire_is_judged_by_its_credential() {
    let authority = pair(1);
    let (mut host, mut client) = (loopback(), Socket::client().unwrap());
    let expires = SystemTime::now() + Duration::from_secs(60);
    let expires = expires.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let credential = Credential::sign(&authority, host.public_key(), expires, "the pond").unwrap();
    host.set_challenge_response_data(&credential.to_bytes()).unwrap();
    client.connect(reach(&host), Trust::Ask).unwrap();
    turns(&mut [&mut host, &mut client], |_, _, event| {
        let authorities = [authority.public()];
        let judge = Judge { authorities: &authorities, ..Judge::default() };
        let Event::ChallengeResponse(shown) = event else { panic!("{event:?}") };
        let judgement = judge.judge_response("host", &shown);
        assert!(matches!(judgement, Judgement::Trusted(Reason::Signed { name, .. }) if name == "the pond"));
        true
    });
}
