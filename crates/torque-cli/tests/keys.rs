//! Keys, credentials, and the words around them.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::UdpSocket;

use common::{Directory, Host, LIMIT, event, json, run_to};
#[cfg(unix)]
use common::{output, torque};
use torque_socket::{Socket, Trust};

#[test]
fn a_key_that_was_made_shows_the_public_key_it_was_made_with() {
    let directory = Directory::new();
    let file = directory.file("a.key");
    let made = json(0, &["keygen", "--out", &file]);
    let public = event(&made, "key")["public_key"].as_str().unwrap().to_owned();
    assert!(public.starts_with("tk1"));
    let shown = json(0, &["key", "show", &file]);
    assert_eq!(event(&shown, "key")["public_key"], public.as_str());
    let shown = json(0, &["key", "show", &public]);
    assert_eq!(event(&shown, "key")["public_key"], public.as_str());
    assert!(run_to(0, &["key", "show", &file]).contains(&public));
    // What a key file holds is shown nowhere.
    let secret = std::fs::read_to_string(&file).unwrap();
    assert!(secret.starts_with("ts1"));
    assert!(!run_to(0, &["key", "show", &file]).contains(secret.trim()));
}

#[test]
fn a_key_file_is_its_owners_alone_and_is_never_overwritten() {
    let directory = Directory::new();
    let file = directory.file("a.key");
    run_to(0, &["keygen", "--out", &file]);
    let before = std::fs::read(&file).unwrap();
    run_to(1, &["keygen", "--out", &file]);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_directory_is_no_key_file_and_nobody_is_told_to_change_its_mode() {
    let directory = Directory::new();
    let path = directory.path().to_str().unwrap();
    let told = json(2, &["host", "--bind", "127.0.0.1:0", "--seconds", "1", "--key", path]);
    let message = event(&told, "error")["message"].as_str().unwrap();
    assert!(message.contains("is a directory") && !message.contains("chmod"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_key_log_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let path = directory.file("keys.log");
    let run = || {
        let mut command = torque();
        command.env("TORQUE_KEYLOG", &path).args([
            "host",
            "--bind",
            "127.0.0.1:0",
            "--seconds",
            "0",
            "--json",
        ]);
        let output = output(&mut command);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let change = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!((run().0, mode()), (Some(0), 0o600));
    assert_eq!(run().0, Some(0), "its own file is taken again");
    for wide in [0o644, 0o640, 0o606] {
        change(wide);
        let (code, told) = run();
        assert_eq!(code, Some(1), "{wide:o}: {told}");
        assert!(told.contains("others can read the key log"), "{told}");
    }
}

#[test]
fn two_keys_are_never_the_same() {
    assert_ne!(run_to(0, &["keygen"]), run_to(0, &["keygen"]));
}

#[test]
fn a_signed_key_tells_who_signed_it_and_a_changed_credential_is_void() {
    let directory = Directory::new();
    let [authority, key, credential] =
        ["authority.key", "a.key", "a.credential"].map(|name| directory.file(name));
    let made = json(0, &["keygen", "--authority", "--out", &authority]);
    run_to(0, &["keygen", "--out", &key]);
    run_to(0, &["sign", "--authority", &authority, &key, "--name", "pond", "--out", &credential]);
    let shown = json(0, &["key", "show", &credential]);
    let shown = event(&shown, "credential");
    assert_eq!(shown["authority"], event(&made, "key")["public_key"]);
    assert_eq!((&shown["name"], &shown["good"]), (&"pond".into(), &true.into()));

    let text = std::fs::read_to_string(&credential).unwrap();
    let (remark, hex) = text.trim_end().rsplit_once('\n').unwrap();
    let last = if hex.ends_with('0') { '1' } else { '0' };
    std::fs::write(&credential, format!("{remark}\n{}{last}\n", &hex[..hex.len() - 1])).unwrap();
    assert_eq!(event(&json(0, &["key", "show", &credential]), "credential")["good"], false);
}

#[test]
fn a_credential_is_renewed_in_its_file_and_overwrites_nothing_else() {
    let directory = Directory::new();
    let [authority, key, text, credential] =
        ["authority.key", "a.key", "text", "a.credential"].map(|name| directory.file(name));
    run_to(0, &["keygen", "--authority", "--out", &authority]);
    run_to(0, &["keygen", "--out", &key]);
    std::fs::write(&text, "something else").unwrap();
    let sign = |code, days, out: &str| {
        run_to(code, &["sign", "--authority", &authority, &key, "--days", days, "--out", out])
    };
    for file in [&authority, &key, &text] {
        let before = std::fs::read(file).unwrap();
        sign(2, "1", file);
        assert_eq!(std::fs::read(file).unwrap(), before, "{file}");
    }
    sign(0, "1", &credential);
    let before = std::fs::read(&credential).unwrap();
    sign(0, "2", &credential);
    assert_ne!(std::fs::read(&credential).unwrap(), before);
}

#[test]
fn the_name_of_a_credential_cannot_reverse_the_text_around_it() {
    let directory = Directory::new();
    let [authority, key, credential] =
        ["authority.key", "a.key", "a.credential"].map(|name| directory.file(name));
    run_to(0, &["keygen", "--authority", "--out", &authority]);
    run_to(0, &["keygen", "--out", &key]);
    let name = "po\u{202e}nd";
    run_to(0, &["sign", "--authority", &authority, &key, "--name", name, "--out", &credential]);
    let shown = run_to(0, &["key", "show", &credential]);
    assert!(shown.contains("po\\u{202e}nd") && !shown.contains('\u{202e}'), "{shown:?}");
    // Programs get the name itself.
    assert_eq!(event(&json(0, &["key", "show", &credential]), "credential")["name"], name);

    let host = Host::start(&["--key", &key, "--credential", &credential]);
    // The request of a client, handed on to the host.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut client = Socket::client().unwrap();
    client.connect(socket.local_addr().unwrap(), Trust::Ask).unwrap();
    client.poll();
    let mut bytes = [0; 2_048];
    let length = socket.recv(&mut bytes).unwrap();
    socket.send_to(&bytes[..length], host.address()).unwrap();
    let length = socket.recv(&mut bytes).unwrap();
    let hex: String = bytes[..length].iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = run_to(0, &["decode", &hex]);
    assert!(shown.contains("po\\u{202e}nd") && !shown.contains('\u{202e}'), "{shown:?}");
}

#[test]
fn no_socket_takes_the_key_of_an_authority() {
    let directory = Directory::new();
    let authority = directory.file("authority.key");
    run_to(0, &["keygen", "--authority", "--out", &authority]);
    run_to(2, &["host", "--bind", "127.0.0.1:0", "--key", &authority, "--seconds", "1"]);
}

#[test]
fn what_is_no_key_is_a_usage_error_with_a_reason() {
    let key = run_to(0, &["keygen"]);
    for wrong in ["tk1nonsense", key.trim()] {
        let told = json(2, &["key", "show", wrong]);
        assert_eq!(event(&told, "error")["error"], "usage", "{wrong}");
        assert!(!event(&told, "error").to_string().contains(key.trim()), "a secret is repeated");
    }
    run_to(1, &["key", "show", "/nowhere/at/all"]);
}

#[test]
fn completions_and_manual_pages_know_every_subcommand() {
    let subcommands = ["host", "connect", "ping", "query", "discover", "keygen", "key", "sign", "decode"];
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run_to(0, &["completions", shell]);
        assert!(subcommands.iter().all(|name| script.contains(name)), "{shell}");
    }
    let directory = Directory::new();
    run_to(0, &["man", directory.path().to_str().unwrap()]);
    for name in subcommands {
        assert!(directory.path().join(format!("torque-{name}.1")).exists(), "{name}");
    }
}

#[test]
fn help_documents_exit_codes_and_every_subcommand_has_examples() {
    let help = run_to(0, &["--help"]);
    for code in ["0  done", "3  no answer", "4  refused", "5  key mismatch", "130  stopped", "TORQUE_KEYLOG"]
    {
        assert!(help.contains(code), "{code}\n{help}");
    }
    for name in ["host", "connect", "ping", "query", "discover", "keygen", "sign", "decode"] {
        assert!(run_to(0, &[name, "--help"]).contains("Examples:"), "{name}");
    }
    run_to(2, &["nonsense"]);
    run_to(2, &["ping"]);
}
