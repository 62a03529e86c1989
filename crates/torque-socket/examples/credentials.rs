//! A game with accounts: an authority, for example the game's web site, signs the keys of hosts and of players.
//!
//! The host shows its credential to everybody who asks, so that a player needs no pinned key to know a good host. The
//! player shows its own in its connect data, which only that host can read, and the host lets in who has an account. Nobody
//! asks the authority during a match.
//!
//! Run it: `cargo run --example credentials`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use torque_socket::trust::{Judge, Judgement, Reason};
use torque_socket::{
    ChallengeResponse, CloseCode, ConnectOptions, ConnectRequest, Credential, Event, KeyPair, PublicKey,
    Socket, Trust,
};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a socket may take to end.
const END: Duration = Duration::from_secs(10);

fn main() -> Result<(), Failure> {
    // The authority's pair stays on its own machine; the programs carry its public key.
    let authority = KeyPair::from_seed([1; 32]);
    let (host_keys, ada) = (KeyPair::from_seed([2; 32]), KeyPair::from_seed([3; 32]));
    // Credentials are short-lived, and fetched again with the account's password or the like.
    let tomorrow = now()? + 24 * 3_600;
    let of_host = Credential::sign(&authority, host_keys.public(), tomorrow, "pond-7.example")?;
    let of_ada = Credential::sign(&authority, ada.public(), tomorrow, "Ada")?;
    let forged = Credential::sign(&KeyPair::from_seed([9; 32]), ada.public(), tomorrow, "Admin")?;

    let mut host = Socket::builder().key_pair(host_keys).bind("127.0.0.1:0")?;
    host.set_challenge_response_data(&of_host.to_bytes())?;
    let address = host.local_addr().to_string();
    let trusted = authority.public();
    let host = thread::spawn(move || run_host(host, trusted));

    // Signed by somebody else, somebody else's, and good.
    let mallory = KeyPair::from_seed([4; 32]);
    let mut ends = Vec::new();
    for (keys, credential) in [(&ada, &forged), (&mallory, &of_ada), (&ada, &of_ada)] {
        let end = visit(&address, trusted, keys, credential)?;
        println!("{end}");
        ends.push(end);
    }
    assert!(ends[0].contains("refused") && ends[1].contains("refused"), "{ends:?}");
    assert_eq!(ends[2], "pond-7.example says: welcome, Ada");
    let guests = host.join().map_err(|_| "the host has stopped")??;
    assert_eq!(guests, ["Ada"]);
    Ok(())
}

fn now() -> Result<u64, Failure> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// The name of the account, if the authority vouches for this key now.
fn account(authority: PublicKey, key: PublicKey, shown: &[u8]) -> Result<String, Failure> {
    let credential = Credential::parse(shown)?;
    credential.verify(key, &[authority], now()?)?;
    Ok(credential.name().to_owned())
}

fn run_host(mut socket: Socket, authority: PublicKey) -> Result<Vec<String>, Failure> {
    let mut guests = Vec::new();
    loop {
        match socket.wait_event(Duration::from_secs(20)).ok_or("nobody comes")? {
            Event::ConnectRequest(ConnectRequest { connection, public_key, connect_data, .. }) => {
                // Errors of these calls mean that who asked has gone, which `Close` tells.
                let _ = match account(authority, public_key, &connect_data) {
                    Ok(name) => {
                        let welcome =
                            socket.accept_connection(connection, format!("welcome, {name}").as_bytes());
                        guests.push(name);
                        welcome
                    }
                    Err(why) => socket.refuse(connection, format!("no account: {why}").as_bytes()),
                };
            }
            // Only this example has had its guest then, who may have missed the answer to its close.
            Event::Close { code: CloseCode::Closed | CloseCode::ShuttingDown, .. } => {
                socket.shutdown(END, |_| {});
                return Ok(guests);
            }
            _ => {}
        }
    }
}

fn visit(
    address: &str,
    authority: PublicKey,
    keys: &KeyPair,
    credential: &Credential,
) -> Result<String, Failure> {
    let mut socket = Socket::builder().key_pair(keys.clone()).client()?;
    let options = ConnectOptions::new(Trust::Ask).with_data(credential.to_bytes());
    socket.connect_with(address, options)?;
    let mut host_name = String::new();
    loop {
        match socket.wait_event(Duration::from_secs(10)).ok_or("nothing happens")? {
            Event::ChallengeResponse(ChallengeResponse {
                connection,
                public_key,
                challenge_response_data,
                ..
            }) => {
                let judge = Judge { authorities: &[authority], ..Judge::default() };
                match judge.judge(address, public_key, &challenge_response_data) {
                    // The name tells whether this is the host that was meant.
                    Judgement::Trusted(Reason::Signed { name, .. }) => host_name = name,
                    other => return Err(format!("not a host of this game: {other:?}").into()),
                }
                socket.accept_challenge(connection)?;
            }
            Event::Established { accept_data, .. } => {
                socket.shutdown(END, |_| {});
                return Ok(format!("{host_name} says: {}", String::from_utf8_lossy(&accept_data)));
            }
            Event::Close { code, reason, .. } => {
                return Ok(format!("{}: {}", code.name(), String::from_utf8_lossy(&reason)));
            }
            _ => {}
        }
    }
}
