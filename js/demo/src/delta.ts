/** A state as what differs from an older one that both sides have (arena/delta.rs). */

import { NO_SHIP, straightOn, type ShipState, type ShotState, type State } from "./state.js";
import { Malformed, type Reader } from "./wire.js";

const MAX_PLAYERS = 24;
const MAX_SHOTS = 64;
const X = 1, Y = 2, VX = 4, VY = 8, AIM = 16, STATUS = 32, ALL = 63;

/** Reads the state at `tick` from what differs from `base`. */
export function readDelta(input: Reader, base: State, tick: number, tickRate: number): State {
  const ticks = tick - base.tick;
  const [present, differing] = [input.number(), input.number()];
  const has = (set: number, number: number) => (set >>> number) % 2 === 1;
  if (present >>> MAX_PLAYERS !== 0 || (differing & ~present) !== 0) throw new Malformed("ships that cannot be");
  const ships = new Map<number, ShipState>();
  for (let number = 0; number < MAX_PLAYERS; number++) {
    if (!has(present, number)) continue;
    const old = base.ships.get(number);
    if (has(differing, number)) {
      ships.set(number, readShip(input, old ?? NO_SHIP, ticks, tickRate));
    } else if (old) {
      ships.set(number, possible({ ...old, ...straightOn(old, ticks, tickRate) }));
    } else {
      throw new Malformed("a new ship of which nothing is told");
    }
  }
  const gone = new Set<number>();
  for (let left = input.byte(), last = -1; left > 0; left--) {
    const index = input.byte();
    if (index <= last || index >= base.shots.length) throw new Malformed("a shot is gone that was not there");
    gone.add((last = index));
  }
  const shots = base.shots.filter((_, index) => !gone.has(index));
  for (let left = input.byte(); left > 0; left--) shots.push(readShot(input, tick));
  if (shots.length > MAX_SHOTS) throw new Malformed("too many shots");
  return { tick, ships, shots };
}

function readShip(input: Reader, base: ShipState, ticks: number, tickRate: number): ShipState {
  const fields = input.byte();
  if ((fields & ~ALL) !== 0) throw new Malformed("an unknown field of a ship");
  const there = straightOn(base, ticks, tickRate);
  const value = (field: number, base: number) => ((fields & field) === 0 ? base : base + input.signed());
  const byte = (field: number, base: number) => ((fields & field) === 0 ? base : input.byte());
  return possible({
    x: value(X, there.x),
    y: value(Y, there.y),
    vx: value(VX, base.vx),
    vy: value(VY, base.vy),
    aim: byte(AIM, base.aim),
    status: byte(STATUS, base.status),
  });
}

function possible(ship: ShipState): ShipState {
  const place = (value: number) => value >= 0 && value <= 0xffff;
  const speed = (value: number) => value >= -0x8000 && value <= 0x7fff;
  if (place(ship.x) && place(ship.y) && speed(ship.vx) && speed(ship.vy)) return ship;
  throw new Malformed("a ship where none can be");
}

function readShot(input: Reader, tick: number): ShotState {
  const shot = {
    number: input.short(),
    owner: input.byte(),
    deed: input.byte(),
    x: input.short(),
    y: input.short(),
    aim: input.short(),
    firedAt: tick - input.byte(),
  };
  if (shot.owner >= MAX_PLAYERS || shot.firedAt < 0) throw new Malformed("a shot that cannot be");
  return shot;
}
