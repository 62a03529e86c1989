use super::*;

/// To the left.
const HALF_TURN: u16 = 32_768;

/// A world with players 0 to `count`, flying side by side, protected no more.
fn world(count: u8) -> World {
    let mut world = World::new(7);
    (0..count).for_each(|player| world.enter(player));
    for _ in 0..=PROTECTED {
        world.step();
    }
    for (number, player) in &mut world.players {
        let ship = player.ship.as_mut().unwrap();
        ship.motion = Motion { x: 700.0 + 60.0 * f64::from(*number), y: 100.0, vx: 0.0, vy: 0.0 };
    }
    world
}

fn steps(world: &mut World, ticks: u32) -> Vec<Burst> {
    (0..ticks).flat_map(|_| world.step()).collect()
}

#[test]
fn the_shot_after_three_hits_bursts_a_ship_and_it_comes_back() {
    let mut world = world(2);
    let mut bursts = Vec::new();
    for shot in 0..4 {
        assert!(bursts.is_empty(), "after {shot} shots");
        assert!(world.fire(0, 0, shot));
        bursts.extend(steps(&mut world, SHOT_EVERY));
    }
    assert_eq!(bursts, [Burst { by: 0, ship: 1 }]);
    assert!(!world.state().ships.contains_key(&1));
    steps(&mut world, AWAY);
    let back = world.state().ships[&1];
    assert_eq!(back.status & ShipState::SHIELD, SHIELD);
    assert_ne!(back.status & ShipState::PROTECTED, 0);
}

#[test]
fn late_shots_count_up_to_what_a_ship_could_have_fired() {
    let mut world = world(1);
    let fired = (0..10).filter(|deed| world.fire(0, 0, *deed)).count();
    assert_eq!(fired, SHOTS_SAVED as usize);
    steps(&mut world, SHOT_EVERY);
    assert!(world.fire(0, 0, 0) && !world.fire(0, 0, 1));
}

#[test]
fn shots_are_stopped_by_walls_pillars_and_time() {
    let mut world = world(1);
    assert!(world.fire(0, 16_384, 0), "downwards, into the pillar in the middle or the wall below");
    assert!(world.fire(0, HALF_TURN + 16_384, 0), "upwards");
    steps(&mut world, 10);
    assert_eq!(world.state().shots.len(), 1, "100 units above is the wall");
    steps(&mut world, SHOT_LIFE);
    assert!(world.state().shots.is_empty());
}

#[test]
fn ships_that_overlap_make_room() {
    let mut world = world(2);
    world.players.get_mut(&1).unwrap().ship.as_mut().unwrap().motion.x = 705.0;
    steps(&mut world, 1);
    let state = world.state();
    let distance = f64::from(state.ships[&1].x - state.ships[&0].x) / SCALE;
    assert!((distance - 2.0 * SHIP_RADIUS).abs() < 0.2, "{distance}");
}

#[test]
fn who_leaves_leaves_nothing_behind() {
    let mut world = world(2);
    assert!(world.fire(0, 16_384, 0));
    world.leave(0);
    let state = world.state();
    assert!(state.shots.is_empty() && !state.ships.contains_key(&0) && state.ships.contains_key(&1));
    assert!(!world.fire(0, 0, 0));
}

#[test]
fn the_shots_of_a_full_arena_fit_a_snapshot() {
    let mut world = world(MAX_PLAYERS);
    let mut most = 0;
    for tick in 0..400_u32 {
        for player in 0..MAX_PLAYERS {
            world.fire(player, (tick * 997) as u16, 0);
        }
        world.step();
        most = most.max(world.state().shots.len());
    }
    assert!(most > MAX_SHOTS / 2 && most <= MAX_SHOTS, "{most}");
}
