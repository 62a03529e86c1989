/**
 * When to show what. Snapshots come with jitter and some not at all, so ships of others are shown a little in the past,
 * between two states that are both there.
 */

import type { ShipState, State } from "./state.js";

/** Ticks: the least and the most that the picture is behind, and how far ships fly on if nothing newer is there. */
const LEAST = 4;
const MOST = 20;
const FLY_ON = 8;
/** How much of a new sample goes into the averages. */
const SHARE = 0.06;

export interface Moment {
  /** The tick to show, with its fraction. */
  readonly tick: number;
  readonly before: State;
  /** The state after it, if it is there. */
  readonly after: State | undefined;
}

export class Timeline {
  readonly #msPerTick: number;
  /** Local time less the host's, in ticks, on average; and how far samples are from it. */
  #offset: number | undefined;
  #spread = 1;
  #shown = 0;

  constructor(tickRate: number) {
    this.#msPerTick = 1_000 / tickRate;
  }

  /** Ticks that the picture is behind the newest snapshot, on average. */
  get behind(): number {
    return Math.min(MOST, LEAST + 2 * this.#spread);
  }

  /** A snapshot of this tick came now. */
  arrived(tick: number, now: number): void {
    const sample = now / this.#msPerTick - tick;
    // A sample that is far off is a pause of one side: begin again.
    if (this.#offset === undefined || Math.abs(sample - this.#offset) > 60) {
      this.#offset = sample;
      return;
    }
    const off = sample - this.#offset;
    this.#spread += (Math.abs(off) - this.#spread) * SHARE;
    this.#offset += off * SHARE;
  }

  /** What to show now. */
  at(now: number, states: readonly State[]): Moment | undefined {
    const newest = states.at(-1);
    if (!newest || this.#offset === undefined) return undefined;
    const wanted = now / this.#msPerTick - this.#offset - this.behind;
    // Time does not run backwards for a better estimate, unless it was far off.
    const tick = wanted < this.#shown && this.#shown - wanted < 30 ? this.#shown : wanted;
    this.#shown = Math.min(tick, newest.tick + FLY_ON);
    let before = states[0] ?? newest;
    for (const state of states) {
      if (state.tick > this.#shown) return { tick: this.#shown, before, after: state };
      before = state;
    }
    return { tick: this.#shown, before, after: undefined };
  }
}

/** A ship between two states, or flying on from the last; in the numbers of states. `undefined` if it is not there. */
export function shipAt(moment: Moment, player: number, tickRate: number): ShipState | undefined {
  const { before, after, tick } = moment;
  const a = before.ships.get(player);
  const b = after?.ships.get(player);
  if (a && b && after && after.tick > before.tick) {
    const part = Math.min(1, Math.max(0, (tick - before.tick) / (after.tick - before.tick)));
    const turn = ((b.aim - a.aim + 384) % 256) - 128;
    return { ...b, x: a.x + (b.x - a.x) * part, y: a.y + (b.y - a.y) * part, aim: a.aim + turn * part };
  }
  const ship = a ?? (after && tick >= after.tick ? b : undefined);
  if (!ship || (after && !b)) return ship;
  const ticks = Math.max(0, tick - before.tick);
  return { ...ship, x: ship.x + (ship.vx * ticks) / tickRate, y: ship.y + (ship.vy * ticks) / tickRate };
}
