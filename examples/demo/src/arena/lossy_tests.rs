//! Both halves of the game over a network that loses, delays and goes silent, in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use torque_socket::Sequence;

use super::brain::Brain;
use super::guest::{BASE_AGE, Guest};
use super::rules::World;
use super::state::State;
use super::view::View;
use super::wire::{Deed, News};
use torque_netem::SimRng;

/// One way of a connection, as the socket promises it: in order, each packet there or not, verdicts in order.
#[derive(Default)]
struct Way {
    next: u64,
    /// The tick at which it is there, and its bytes unless it is lost.
    packets: VecDeque<(u32, Sequence, Option<Vec<u8>>)>,
    verdicts: VecDeque<(u32, Sequence, bool)>,
}

impl Way {
    fn send(&mut self, now: u32, delay: u32, lost: bool, bytes: Vec<u8>) -> Sequence {
        self.next += 1;
        self.packets.push_back((now + delay, Sequence(self.next), (!lost).then_some(bytes)));
        Sequence(self.next)
    }

    fn arrived(&mut self, now: u32, delay: u32) -> Vec<Vec<u8>> {
        let mut arrived = Vec::new();
        while self.packets.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, sequence, bytes)) = self.packets.pop_front() else { break };
            self.verdicts.push_back((now + delay, sequence, bytes.is_some()));
            arrived.extend(bytes);
        }
        arrived
    }

    fn told(&mut self, now: u32) -> Vec<(Sequence, bool)> {
        let told = self.verdicts.iter().take_while(|(at, ..)| *at <= now).count();
        self.verdicts.drain(..told).map(|(_, sequence, delivered)| (sequence, delivered)).collect()
    }
}

struct Player {
    guest: Guest,
    view: View,
    brain: Brain,
    down: Way,
    up: Way,
    said: u32,
    heard: Vec<String>,
}

/// Loses at random, at a rate of its own, and everything in the ticks of a blackout.
fn loses(chances: &mut SimRng, seed: u64, tick: u32) -> bool {
    let blackout = seed.is_multiple_of(3) && (200..200 + 2 * BASE_AGE).contains(&tick);
    blackout || chances.chance((seed % 8) as f64 * 0.1)
}

fn play(seed: u64) {
    let mut chances = SimRng::new(seed);
    let (delay, ticks, quiet) = ((seed % 5) as u32 * 3, 900, 700);
    let mut world = World::new(seed);
    let mut states: BTreeMap<u32, Arc<State>> = BTreeMap::new();
    let mut players: Vec<Player> = (0..4)
        .map(|number| Player {
            guest: Guest::new(number, true, format!("player {number}")),
            view: View::default(),
            brain: Brain::new(seed + u64::from(number)),
            down: Way::default(),
            up: Way::default(),
            said: 0,
            heard: Vec::new(),
        })
        .collect();
    let names: Vec<News> = players.iter().map(|player| player.guest.introduction()).collect();
    for player in &mut players {
        world.enter(player.guest.player);
        names.iter().for_each(|news| player.guest.tell(news));
    }
    for now in 0..ticks {
        // In the end nothing is lost any more and nobody does anything, so that all can be known.
        let lossy = now < quiet;
        let mut news = Vec::new();
        for player in &mut players {
            for bytes in player.up.arrived(now, delay) {
                for (deed_number, deed) in player.guest.packet(&bytes) {
                    let number = player.guest.player;
                    match deed {
                        Deed::Fire { aim } => drop(world.fire(number, aim, deed_number)),
                        Deed::Say { text } => news.push(News::Said { player: number, text }),
                    }
                }
            }
            for (sequence, delivered) in player.down.told(now) {
                player.guest.verdict(sequence, delivered);
            }
            world.steer(player.guest.player, player.guest.control());
        }
        for burst in world.step() {
            players[usize::from(burst.by)].guest.points += 1;
            news.push(News::Burst { by: burst.by, ship: burst.ship });
        }
        let state = Arc::new(world.state());
        states.insert(state.tick, Arc::clone(&state));
        for player in &mut players {
            news.iter().for_each(|news| player.guest.tell(news));
            if now % 2 == 0 {
                let packet = player.guest.snapshot(&state, 1_150);
                let lost = lossy && loses(&mut chances, seed, now);
                let sequence = player.down.send(now, delay, lost, packet.bytes.clone());
                player.guest.sent(packet, sequence);
            }
            for bytes in player.down.arrived(now, delay) {
                for news in player.view.packet(&bytes) {
                    if let News::Said { player: 0, text } = news {
                        player.heard.push(text);
                    }
                }
                let seen = player.view.state().unwrap();
                assert_eq!(*seen, *states[&seen.tick], "seed {seed}: not what the host has");
            }
            for (sequence, delivered) in player.up.told(now) {
                player.view.verdict(sequence, delivered);
            }
            let Some(state) = player.view.state() else { continue };
            let (control, fires) = player.brain.decide(player.guest.player, state);
            if fires && lossy {
                player.view.do_once(&Deed::Fire { aim: control.aim });
            }
            if lossy && player.guest.player == 0 && now % 90 == 0 {
                let text = format!("line {}", player.said);
                player.said += u32::from(player.view.do_once(&Deed::Say { text }));
            }
            let (bytes, letters) = player.view.input(control, 1_150);
            let lost = lossy && loses(&mut chances, seed, now);
            let sequence = player.up.send(now, delay, lost, bytes);
            player.view.sent(letters, sequence);
        }
    }
    let points: Vec<u16> = players.iter().map(|player| player.guest.points).collect();
    let said: Vec<String> = (0..players[0].said).map(|number| format!("line {number}")).collect();
    assert!(said.len() > 3);
    for player in &players {
        assert_eq!((player.view.faults, player.guest.malformed), (0, 0), "seed {seed}");
        assert_eq!((player.view.open(), player.guest.is_behind()), (0, false), "seed {seed}");
        let seen: Vec<u16> = player.view.players.values().map(|other| other.points).collect();
        assert_eq!(seen, points, "seed {seed}: every point counts once");
        assert_eq!(player.heard, said, "seed {seed}: every line is heard once, in order");
    }
}

#[test]
fn despite_loss_players_see_the_hosts_state_and_deeds_count_once() {
    (0..24).for_each(play);
}
