use std::time::Duration;
use torque_socket::{AsyncSocket, Event, SendError};

/// Sends the state of each frame to all players, until the game gives none.
async fn play(
    socket: &mut AsyncSocket,
    mut game: impl FnMut() -> Option<Vec<u8>>,
) -> Result<(), SendError> {
    let mut players = Vec::new();
    let mut frames = tokio::time::interval(Duration::from_micros(16_667));
    // After a stall, frames that were missed are left out.
    frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(event) = socket.wait_event(None) => match event {
                Event::ConnectRequest(request) => {
                    let _ = socket.accept_connection(request.connection, b"welcome");
                }
                Event::Established { connection, .. } => players.push(connection),
                Event::Close { connection, .. } => players.retain(|player| *player != connection),
                _ => {}
            },
            _ = frames.tick() => {
                let Some(state) = game() else { return Ok(()) };
                for player in &players {
                    match socket.send(*player, &state) {
                        // Too slow, or leaving: the others go on.
                        Ok(_) | Err(SendError::WindowFull | SendError::Blocked | SendError::Closed) => {}
                        Err(error) => return Err(error),
                    }
                }
                socket.flush();
            }
        }
    }
}
