//! A game with accounts: an authority, for example the game's web site, signs the keys of hosts and of players.
//!
//! The host shows its credential to everybody who asks, so that a player needs no pinned key to know a good host. The
//! player shows its credential in its connect data, which only that host can read, and the host lets in players that have an
//! account. Nobody asks the authority during a match.
//!
//! One authority signs both, so a name tells what a key may be used for: names of hosts end in `.example`, and no player gets
//! such a name.
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

/// The host that the players mean.
const HOST: &str = "pond-7.example";
/// How long a socket may take to end.
const END: Duration = Duration::from_secs(10);

fn main() -> Result<(), Failure> {
    // The authority's pair stays on its own machine; the programs carry its public key.
    let authority = KeyPair::from_seed([1; 32]);
    let (host_keys, ada) = (KeyPair::from_seed([2; 32]), KeyPair::from_seed([3; 32]));
    // Credentials are short-lived, and fetched again with the account's password or the like.
    let tomorrow = now()? + 24 * 3_600;
    let of_host = Credential::sign(&authority, host_keys.public(), tomorrow, HOST)?;
    let of_ada = sign_player(&authority, ada.public(), tomorrow, "Ada")?;
    assert!(sign_player(&authority, ada.public(), tomorrow, "pond-8.example").is_err());
    let forged = Credential::sign(&KeyPair::from_seed([9; 32]), ada.public(), tomorrow, "Admin")?;

    let mut host = Socket::builder().key_pair(host_keys).bind("127.0.0.1:0")?;
    host.set_challenge_response_data(&of_host.to_bytes())?;
    let address = host.local_addr().to_string();
    let trusted = authority.public();
    let host = thread::spawn(move || run_host(host, trusted));

    // A player that poses as the host, with a credential that the authority has signed, gets no visitors.
    let posing = Socket::builder().key_pair(ada.clone()).bind("127.0.0.1:0")?.spawn()?;
    posing.set_challenge_response_data(&of_ada.to_bytes())?;
    match visit(&posing.local_addr().to_string(), trusted, &ada, &of_ada) {
        Err(error) if error.to_string().contains("not the host that was meant") => println!("{error}"),
        other => return Err(format!("a player was taken for the host: {other:?}").into()),
    }
    drop(posing);

    // A credential of another authority, one of another key, and a good one.
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

fn is_name_of_host(name: &str) -> bool {
    name.ends_with(".example")
}

/// The authority's part, after it has checked the account.
fn sign_player(
    authority: &KeyPair,
    player: PublicKey,
    until: u64,
    name: &str,
) -> Result<Credential, Failure> {
    if is_name_of_host(name) {
        return Err("such a name is for hosts".into());
    }
    Ok(Credential::sign(authority, player, until, name)?)
}

/// The name of the account, if the authority vouches for this key now.
fn account(authority: PublicKey, key: PublicKey, shown: &[u8]) -> Result<String, Failure> {
    let credential = Credential::parse(shown)?;
    credential.verify(key, &[authority], now()?)?;
    if is_name_of_host(credential.name()) {
        return Err("this is the name of a host".into());
    }
    Ok(credential.name().to_owned())
}

fn run_host(mut socket: Socket, authority: PublicKey) -> Result<Vec<String>, Failure> {
    let mut guests = Vec::new();
    loop {
        match socket.wait_event(Duration::from_secs(20)).ok_or("nobody comes")? {
            Event::ConnectRequest(ConnectRequest { connection, public_key, connect_data, .. }) => {
                // These calls fail if the client has gone meanwhile, which `Close` tells.
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
                    // The authority signs players too: the name tells whether this is the host that was meant.
                    Judgement::Trusted(Reason::Signed { name, .. }) if name == HOST => host_name = name,
                    other => return Err(format!("not the host that was meant: {other:?}").into()),
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
