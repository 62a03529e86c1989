//! js/demo/test/arena.json, the test vectors of the pages' half: a game over a bad network, and flights.
//!
//! `ARENA_VECTORS=write cargo test -p torque-demo --features gateway arena::vectors` writes the file again.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};
use torque_socket::Sequence;

use super::brain::Brain;
use super::flight::{Control, Motion, fly};
use super::guest::Guest;
use super::rules::World;
use super::view::View;
use super::wire::{Deed, Hello, Input, News, Welcome};
use crate::units::rounded;
use torque_netem::SimRng;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../js/demo/test/arena.json");
/// One packet of this many is lost, and verdicts come this many packets late.
const LOST: u64 = 4;
const LATE: usize = 3;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (digits, []) = text.as_bytes().as_chunks::<2>() else { return None };
    digits.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Snapshots that reach a player of a lively game, and their result.
fn game() -> Value {
    let (mut world, mut chances) = (World::new(11), SimRng::new(11));
    let mut guest = Guest::new(0, false, "Ada".into());
    let mut view = View::default();
    let mut brains: Vec<Brain> = (0..6).map(|number| Brain::new(number + 40)).collect();
    guest.tell(&guest.introduction());
    for number in 0..6_u8 {
        world.enter(number);
        let name = format!("Bot {number}");
        guest.tell(&News::Joined { player: number, bot: number > 0, points: number.into(), name });
    }
    guest.tell(&News::Said { player: 3, text: "Grüße".into() });
    guest.tell(&News::Left { player: 5 });
    world.leave(5);
    let (mut packets, mut under_way) = (Vec::new(), VecDeque::new());
    for tick in 0..240_u64 {
        let state = world.state();
        for (number, brain) in brains.iter_mut().enumerate() {
            let (control, fires) = brain.decide(number as u8, &state);
            world.steer(number as u8, control);
            if fires {
                world.fire(number as u8, control.aim, tick as u8);
            }
        }
        for burst in world.step() {
            guest.tell(&News::Burst { by: burst.by, ship: burst.ship });
        }
        if tick % 2 != 0 {
            continue;
        }
        let packet = guest.snapshot(&Arc::new(world.state()), 1_150);
        let delivered = !chances.next_u64().is_multiple_of(LOST);
        if delivered {
            view.packet(&packet.bytes);
            packets.push(hex(&packet.bytes));
        }
        guest.sent(packet, Sequence(tick));
        under_way.push_back((Sequence(tick), delivered));
        if under_way.len() > LATE
            && let Some((sequence, delivered)) = under_way.pop_front()
        {
            guest.verdict(sequence, delivered);
        }
    }
    outcome(&view, packets)
}

/// The knowledge of a player after these packets.
fn outcome(view: &View, packets: Vec<String>) -> Value {
    assert_eq!(view.faults, 0);
    let state = view.state().unwrap();
    let ships = state.ships.iter().map(|(number, ship)| {
        json!([number, { "x": ship.x, "y": ship.y, "vx": ship.vx, "vy": ship.vy, "aim": ship.aim, "status": ship.status }])
    });
    let shots = state.shots.iter().map(|shot| {
        json!({
            "number": shot.number, "owner": shot.owner, "deed": shot.deed, "x": shot.x, "y": shot.y, "aim": shot.aim,
            "firedAt": shot.fired_at,
        })
    });
    let players = view.players.iter().map(
        |(number, other)| json!([number, { "name": other.name, "bot": other.bot, "points": other.points }]),
    );
    json!({
        "packets": packets,
        "state": {
            "tick": state.tick, "ships": ships.collect::<Value>(), "shots": shots.collect::<Value>(),
        },
        "players": players.collect::<Value>(),
    })
}

/// The flight of a ship under random controls, each held for a while.
fn flight() -> Value {
    let (mut chances, mut motion) = (SimRng::new(5), Motion { x: 300.0, y: 200.0, ..Motion::default() });
    let legs = (0..24).map(|_| {
        let random = chances.next_u64();
        let control =
            Control { right: (random as i8).max(-127), down: ((random >> 8) as i8).max(-127), aim: 0 };
        (0..25).for_each(|_| fly(&mut motion, control));
        json!({ "right": control.right, "down": control.down, "ticks": 25, "x": rounded(motion.x, 6), "y": rounded(motion.y, 6) })
    });
    legs.collect()
}

/// A packet to the host, as this half reads and writes it.
fn input() -> Value {
    let mut view = View::default();
    view.do_once(&Deed::Fire { aim: 40_000 });
    view.do_once(&Deed::Say { text: "Grüße".into() });
    let control = Control { right: -127, down: 64, aim: 65_535 };
    let (bytes, _) = view.input(control, 1_150);
    assert!(Input::read(&bytes).is_some());
    json!({ "right": control.right, "down": control.down, "aim": control.aim, "fire": 40_000, "say": "Grüße", "bytes": hex(&bytes) })
}

/// The parts that follow from the messages and rules alone.
fn vectors(game: Value) -> Value {
    json!({
        "welcome": hex(&Welcome::write(0)),
        "hello": { "name": "Ada", "bytes": hex(&Hello { bot: false, name: "Ada".into() }.write()) },
        "input": input(),
        "flight": { "x": 300, "y": 200, "legs": flight() },
        "game": game,
    })
}

#[test]
fn pages_are_tested_by_what_this_host_says() {
    if std::env::var_os("ARENA_VECTORS").is_some_and(|value| value == "write") {
        std::fs::write(FILE, format!("{:#}\n", vectors(game()))).unwrap();
    }
    let written: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    // The course of a game depends on the last bits of sines, which differ between systems. The meaning of its packets does not.
    let packets = written["game"]["packets"].as_array().unwrap();
    let packets: Vec<String> = packets.iter().map(|packet| packet.as_str().unwrap().to_owned()).collect();
    let mut view = View::default();
    packets.iter().for_each(|packet| drop(view.packet(&from_hex(packet).unwrap())));
    assert!(packets.len() > 50);
    let now = vectors(outcome(&view, packets));
    for part in ["welcome", "hello", "input", "flight", "game"] {
        assert!(written[part] == now[part], "{part}: see the head of vectors.rs");
    }
}
