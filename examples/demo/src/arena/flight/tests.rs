use super::*;
use torque_netem::SimRng;

#[test]
fn a_ship_speeds_up_to_its_limit_and_glides_to_rest() {
    let mut motion = Motion { x: 100.0, y: 100.0, ..Motion::default() };
    for _ in 0..120 {
        fly(&mut motion, Control { right: 127, down: 0, aim: 0 });
    }
    let limit = ACCELERATION * TICK * GLIDE / (1.0 - GLIDE);
    assert!((motion.vx - limit).abs() < 1.0 && motion.vy == 0.0, "{motion:?}, limit {limit}");
    for _ in 0..240 {
        fly(&mut motion, Control::default());
    }
    assert!(motion.vx.abs() < 0.01, "{motion:?}");
}

#[test]
fn no_control_takes_a_ship_out_of_the_arena_or_into_a_pillar() {
    let mut chances = SimRng::new(3);
    for _ in 0..200 {
        let mut motion = Motion { x: chances.uniform(22.0, 1_578.0), y: 30.0, ..Motion::default() };
        let mut control = Control::default();
        for tick in 0..300 {
            if tick % 20 == 0 {
                let random = chances.next_u64();
                control = Control { right: random as i8, down: (random >> 8) as i8, aim: 0 };
            }
            fly(&mut motion, control);
            assert!((SHIP_RADIUS..=WIDTH - SHIP_RADIUS).contains(&motion.x), "{motion:?}");
            assert!((SHIP_RADIUS..=HEIGHT - SHIP_RADIUS).contains(&motion.y), "{motion:?}");
            for pillar in PILLARS {
                let distance = (motion.x - pillar.x).hypot(motion.y - pillar.y);
                assert!(distance > pillar.radius + SHIP_RADIUS - 0.001, "{motion:?} in {pillar:?}");
            }
        }
    }
}

#[test]
fn a_diagonal_is_no_faster() {
    let throttle = |right, down| Control { right, down, aim: 0 }.throttle();
    let (x, y) = throttle(127, -127);
    assert!((x.hypot(y) - 1.0).abs() < 1e-9);
    assert_eq!(throttle(127, 0), (1.0, 0.0));
    assert_eq!(throttle(0, 0), (0.0, 0.0));
}
