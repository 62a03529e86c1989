//! Connects through a lobby, which introduces the two sockets to each other (`--via`).

use clap::ValueEnum;
use serde_json::json;
use torque_socket::{Config, ConnectOptions, IntroducedOptions, PublicKey, Relaying, Socket, Trust};

use crate::connecting::{self, Attempt, Connected, Wish, with_credential};
use crate::failure::{Code, Failure};
use crate::lobby::{Name, Other, Request};
use crate::output::{DIM, NAME, Output};
use crate::trust::Named;

/// The options of `torque connect` for an introduction.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Introduction")]
pub struct ViaOptions {
    /// Have this lobby (`torque introduce`) introduce the two, through NATs: torque://[KEY@]HOST[:PORT]
    #[arg(long, value_name = "URL")]
    pub via: Option<String>,

    #[command(flatten)]
    pub paths: PathOptions,
}

/// The paths that an introduced connection may take.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Introduction")]
pub struct PathOptions {
    /// Go through the lobby, if it relays. It cannot read what it passes on
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, requires = "via")]
    relay: Relay,

    /// Take no direct path, so that the other side does not learn this one's address
    #[arg(long, requires = "via")]
    no_direct: bool,

    /// Try many ports where a NAT gives another port for each destination: up to 4,096 datagrams in 30 s, to one address
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, requires = "via")]
    hard_nat: HardNat,
}

/// When many ports are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HardNat {
    /// When the two are connected through the lobby's relay, and this side knows or has accepted the other's key
    #[default]
    Verified,
    /// Before that too, on the lobby's word: one that lies can aim the datagrams at anybody
    Always,
    /// Never: such a connection stays relayed, or fails
    Never,
}

/// The use of the lobby as a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Relay {
    /// Connect directly or not at all
    Never,
    /// While no direct path was found; go on looking for one
    #[default]
    Fallback,
    /// From the beginning, if the other side wants that as well; become direct later
    AtOnce,
}

impl PathOptions {
    /// Puts them into the configuration of the socket.
    pub fn configure(&self, config: &mut Config) {
        config.introduction.hard_nat = match self.hard_nat {
            HardNat::Verified => torque_socket::HardNat::Verified,
            HardNat::Always => torque_socket::HardNat::Always,
            HardNat::Never => torque_socket::HardNat::Never,
        };
    }

    /// Puts them into the options of an introduced connection.
    pub fn apply(&self, options: IntroducedOptions) -> Result<IntroducedOptions, Failure> {
        let options = options.with_relay(match self.relay {
            Relay::Never => Relaying::Never,
            Relay::Fallback => Relaying::Fallback,
            Relay::AtOnce => Relaying::AtOnce,
        });
        match (self.no_direct, self.relay) {
            (true, Relay::Never) => Err(Failure::usage("--no-direct and --relay never leave no path")
                .next("leave one of the two out")),
            (true, _) => Ok(options.without_direct_paths()),
            (false, _) => Ok(options),
        }
    }
}

/// Connects to the lobby, asks for the party that the wish names, and connects to that. Tells what happens.
pub fn establish(
    socket: &mut Socket,
    lobby: &str,
    options: &ViaOptions,
    wish: &Wish<'_>,
    output: &Output,
) -> Result<Connected, Failure> {
    let (pinned, name) = parse_target(wish.target)?;
    let connect = ConnectOptions::new(pinned.map_or(Trust::Ask, Trust::Pinned))
        .with_data(with_credential(wish.credential, socket.public_key(), wish.data)?)
        .with_settings(wish.settings);
    let introduced = options.paths.apply(IntroducedOptions::initiator(connect))?;
    let lobby_name = connecting::host_name(lobby)?;

    let request = Request::Ask(name.clone()).to_string();
    let to_lobby = Wish {
        target: lobby,
        data: request.as_bytes(),
        trust: wish.trust,
        settings: None,
        credential: None,
        harmless: false,
    };
    let at_lobby = connecting::connect(socket, &to_lobby, output)?;
    let other = Other::parse(&at_lobby.accept_data).ok_or_else(|| not_a_lobby(&lobby_name))?;
    output.note(format_args!(
        "at the lobby {} {DIM}({name} has the key {DIM:#}{NAME}{}{NAME:#}{DIM}, it says){DIM:#}",
        at_lobby.remote, other.key
    ));
    output.record(|| {
        json!({
            "event": "lobby",
            "remote": at_lobby.remote.to_string(),
            "public_key": at_lobby.public_key.to_string(),
            "name": name.as_str(),
            "named_key": other.key.to_string(),
        })
    })?;
    if let Some(pinned) = pinned.filter(|pinned| !pinned.same_identity(&other.key)) {
        return Err(Failure::new(
            Code::KeyMismatch,
            format!("the lobby names the key {} for {name}, and not {pinned}", other.key),
        )
        .next("ask the operator of the host for its key; do not send it anything before"));
    }
    let id = socket.connect_introduced(at_lobby.id, other.number, introduced)?;
    let host = Named::AtLobby { name, lobby: lobby_name };
    let attempt = Attempt { id, host, trust: wish.trust, harmless: wish.harmless, lobby: Some(at_lobby.id) };
    let connected = attempt.wait(socket, output)?;
    connecting::tell_established(socket, &connected, Some(at_lobby.public_key), output)?;
    Ok(connected)
}

/// The failure of a connection with something that is no lobby.
pub fn not_a_lobby(lobby_name: &str) -> Failure {
    Failure::failed(format!("{lobby_name} does not answer as a lobby does"))
        .next("name a `torque introduce` with --via; to connect to a host itself, leave --via out")
}

/// Reads `[KEY@]NAME`.
fn parse_target(text: &str) -> Result<(Option<PublicKey>, Name), Failure> {
    let (key, name) = match text.split_once('@') {
        None => (None, text),
        Some((key, name)) => (Some(key), name),
    };
    let unusable = |why: String| {
        Failure::usage(format!("`{text}` is no name at a lobby: {why}"))
            .next("with --via, write NAME or KEY@NAME")
    };
    let key = key.map(str::parse).transpose().map_err(|error| unusable(format!("{error}")))?;
    Ok((key, name.parse().map_err(unusable)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use torque_socket::KeyPair;

    #[test]
    fn a_target_is_a_name_with_or_without_a_key() {
        let key = KeyPair::from_seed([3; 32]).public();
        let (pinned, name) = parse_target(&format!("{key}@Pond")).unwrap();
        assert_eq!((pinned, name.as_str()), (Some(key), "pond"));
        assert_eq!(parse_target("pond").unwrap().0, None);
        for bad in ["", "@pond", "tk1@pond", "torque://pond", &format!("{key}@")] {
            assert!(parse_target(bad).is_err(), "{bad}");
        }
    }
}
