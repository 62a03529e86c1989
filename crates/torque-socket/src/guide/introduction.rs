use std::error::Error;
use torque_socket::{ConnectOptions, ConnectionId, IntroducedOptions, Relay, Socket, Trust};

/// At the lobby: two of its clients are to play with each other. A circuit helps where no direct path works.
fn introduce(lobby: &mut Socket, ann: ConnectionId, ben: ConnectionId) -> Result<(), Box<dyn Error>> {
    lobby.introduce(ann, ben, Relay::default())?;
    // Each is told, in a packet, its role, and the other's number and key at the lobby.
    for (to, role, other) in [(ann, "initiator", ben), (ben, "host", ann)] {
        let key = lobby.peer(other).ok_or("it has left")?.public_key;
        lobby.send(to, format!("{role} {} {key}", other.get()).as_bytes())?;
    }
    Ok(())
}

/// At Ann and Ben, when that packet has come. Events tell what becomes of the connection, whose id this returns.
fn meet(party: &mut Socket, lobby: ConnectionId, told: &str) -> Result<ConnectionId, Box<dyn Error>> {
    let [role, number, key] = told.split(' ').collect::<Vec<_>>()[..] else {
        return Err("the lobby says something else".into());
    };
    let options = match role {
        "host" => IntroducedOptions::host(),
        _ => IntroducedOptions::initiator(ConnectOptions::new(Trust::Pinned(key.parse()?))),
    };
    Ok(party.connect_introduced(lobby, number.parse()?, options)?)
}
