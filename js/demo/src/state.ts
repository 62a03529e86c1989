/** What can be seen of the arena at one tick, in the whole numbers that go over the wire (arena/state.rs). */

/** Places and speeds are told in sixteenths of a unit. */
export const SCALE = 16;
/** Bits of a ship's status. */
export const SHIELD = 0x03;
export const PROTECTED = 0x04;
export const THRUST = 0x08;

export interface ShipState {
  readonly x: number;
  readonly y: number;
  readonly vx: number;
  readonly vy: number;
  /** 256 to a full turn, clockwise from the right. */
  readonly aim: number;
  /** The shield that is left, and flags. */
  readonly status: number;
}

/** A shot, as it was fired. */
export interface ShotState {
  readonly number: number;
  readonly owner: number;
  /** The last byte of the number of the letter that asked for it. */
  readonly deed: number;
  readonly x: number;
  readonly y: number;
  /** 65,536 to a full turn. */
  readonly aim: number;
  readonly firedAt: number;
}

export interface State {
  readonly tick: number;
  /** In the order of their players. */
  readonly ships: ReadonlyMap<number, ShipState>;
  /** Oldest first. */
  readonly shots: readonly ShotState[];
}

export const NOTHING: State = { tick: 0, ships: new Map(), shots: [] };
export const NO_SHIP: ShipState = { x: 0, y: 0, vx: 0, vy: 0, aim: 0, status: 0 };

/** Where a ship would be after `ticks` if it flew straight on. */
export function straightOn(ship: ShipState, ticks: number, tickRate: number): { x: number; y: number } {
  const glide = (place: number, speed: number) => place + Math.trunc((speed * ticks) / tickRate);
  return { x: glide(ship.x, ship.vx), y: glide(ship.y, ship.vy) };
}

/** The angle of an `aim`, of which `steps` make a full turn, in radians. */
export function angle(aim: number, steps: number): number {
  return (aim / steps) * 2 * Math.PI;
}

/** A number that tells two states apart as far as 16 bits can. */
export function check(state: State): number {
  let check = 0;
  const add = (number: number) => {
    check = (((check ^ (number & 0xffff)) * 40503) % 0x1_0000 + 1) & 0xffff;
  };
  add(state.tick >>> 16);
  add(state.tick);
  for (const [number, ship] of state.ships) {
    for (const figure of [number, ship.x, ship.y, ship.vx, ship.vy, ship.aim, ship.status]) add(figure);
  }
  for (const shot of state.shots) {
    const age = Math.max(0, state.tick - shot.firedAt);
    for (const figure of [shot.number, shot.owner * 256 + shot.deed, shot.x, shot.y, shot.aim, age]) add(figure);
  }
  return check;
}
