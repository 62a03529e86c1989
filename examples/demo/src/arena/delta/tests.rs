use super::*;
use crate::arena::flight::Control;
use crate::arena::rules::World;
use torque_netem::SimRng;

fn written(base: &State, state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, base, state);
    bytes
}

fn read_all(bytes: &[u8], base: &State, tick: u32) -> Option<State> {
    let mut input = Reader(bytes);
    let state = read(&mut input, base, tick)?;
    input.end(state)
}

/// States of a lively game, one a tick.
fn game(seed: u64, players: u8, ticks: usize) -> Vec<State> {
    let (mut world, mut chances) = (World::new(seed), SimRng::new(seed));
    (0..players).for_each(|player| world.enter(player));
    let tick = |_| {
        for player in 0..players {
            let random = chances.next_u64();
            if chances.chance(0.05) {
                let (right, down) = (random as i8, (random >> 8) as i8);
                world.steer(player, Control { right, down, aim: (random >> 16) as u16 });
            }
            if chances.chance(0.05) {
                world.fire(player, (random >> 32) as u16, random as u8);
            }
            if chances.chance(0.002) {
                world.leave(player);
            } else if chances.chance(0.01) {
                world.enter(player);
            }
        }
        world.step();
        world.state()
    };
    (0..ticks).map(tick).collect()
}

#[test]
fn a_state_told_against_any_older_one_is_that_state() {
    for seed in 0..8 {
        let states = game(seed, 12, 400);
        let mut chances = SimRng::new(seed);
        for (index, state) in states.iter().enumerate() {
            let base = &states[(chances.next_u64() % (index as u64 + 1)) as usize];
            for base in [base, &State::default()] {
                let bytes = written(base, state);
                assert_eq!(read_all(&bytes, base, state.tick).as_ref(), Some(state), "seed {seed}, {index}");
            }
        }
    }
}

#[test]
fn what_flies_straight_on_or_stands_still_costs_nothing() {
    let ship = ShipState { x: 1_600, y: 3_200, vx: 960, vy: -480, aim: 7, status: 3 };
    let base = State { tick: 100, ships: [(4, ship)].into(), ..State::default() };
    // 30 ticks are half a second.
    let there = ShipState { x: 1_600 + 480, y: 3_200 - 240, ..ship };
    let state = State { tick: 130, ships: [(4, there)].into(), ..State::default() };
    assert_eq!(written(&base, &state), [1 << 4, 0, 0, 0]);
}

#[test]
fn the_largest_state_fits_a_packet_with_room_for_letters() {
    let ship = ShipState { x: 25_000, y: 15_000, vx: -5_400, vy: 5_400, aim: 255, status: 15 };
    let shot = ShotState { number: 65_535, owner: 23, deed: 255, x: 1, y: 2, aim: 3, fired_at: 1 };
    let state = State {
        tick: 60,
        ships: (0..MAX_PLAYERS).map(|player| (player, ship)).collect(),
        shots: (0..MAX_SHOTS).map(|number| ShotState { number: number as u16, ..shot }).collect(),
    };
    let bytes = written(&State::default(), &state);
    assert!(bytes.len() <= 1_150 - 50, "{} bytes", bytes.len());
    assert_eq!(read_all(&bytes, &State::default(), 60), Some(state));
}

#[test]
fn bytes_that_mean_no_state_are_refused_and_none_cause_a_panic() {
    let base = game(1, 6, 200).pop().unwrap();
    let refused: [&[u8]; 9] = [
        &[],
        // Player 24.
        &[0x80, 0x80, 0x80, 0x08, 0, 0, 0],
        // A ship that differs and is not there.
        &[0, 1, 0, 0],
        // A new ship of which nothing is told.
        &[0x80, 0x40, 0, 0, 0],
        // An unknown field.
        &[1, 1, 64, 0, 0],
        // A place outside of what can be told.
        &[1, 1, 1, 0xff, 0xff, 0x7f, 0, 0],
        // A shot that is gone and never was.
        &[0, 0, 1, 200, 0],
        // A shot that was fired too long ago, and by whom?
        &[0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 200],
        &[0, 0, 0, 1, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for bytes in refused {
        assert_eq!(read_all(bytes, &base, base.tick + 2), None, "{bytes:?}");
    }
    let states = game(2, 12, 120);
    let (old, new) = (&states[90], &states[119]);
    let bytes = written(old, new);
    for length in 0..bytes.len() {
        assert_eq!(read_all(&bytes[..length], old, new.tick), None, "cut to {length}");
    }
    let mut chances = SimRng::new(5);
    for _ in 0..20_000 {
        let mut bent = bytes.clone();
        for _ in 0..1 + chances.next_u64() % 4 {
            let place = (chances.next_u64() % bent.len() as u64) as usize;
            bent[place] = chances.next_u64() as u8;
        }
        if let Some(state) = read_all(&bent, old, new.tick) {
            assert!(state.shots.len() <= MAX_SHOTS && state.ships.keys().all(|ship| *ship < MAX_PLAYERS));
        }
    }
}

#[test]
fn the_check_tells_apart_what_differs_in_one_figure() {
    let state = game(3, 6, 150).pop().unwrap();
    assert!(!state.shots.is_empty() && state.ships.len() > 2);
    let mut others = vec![State { tick: state.tick + 1, ..state.clone() }];
    for number in state.ships.keys() {
        let change = |change: fn(&mut ShipState)| {
            let mut other = state.clone();
            other.ships.entry(*number).and_modify(change);
            other
        };
        others.push(change(|ship| ship.x += 1));
        others.push(change(|ship| ship.vy -= 1));
        others.push(change(|ship| ship.status ^= ShipState::THRUST));
    }
    for index in 0..state.shots.len() {
        let mut other = state.clone();
        other.shots[index].deed ^= 1;
        others.push(other);
    }
    for other in others {
        assert_ne!(other.check(), state.check());
    }
}
