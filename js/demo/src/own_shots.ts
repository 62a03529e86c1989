/** One's own shots, shown from the moment of firing; hollow until a verdict says that the host has them. */

import { isStopped, shotPlace } from "./rules.js";
import { SCALE, type ShotState } from "./state.js";
import type { Welcome } from "./wire.js";

/** Ticks in which the host has to show a shot that it has; else it did not count. */
const PATIENCE = 45;

export interface OwnShot {
  /** As the host would tell it; `firedAt` counts this page's ticks. */
  readonly shot: ShotState;
  /** What is known of the letter that asks for it. */
  fate: "under way" | "again" | "delivered";
  /** Since which tick of this page it is known to be delivered. */
  deliveredAt: number;
  seen: boolean;
}

export class OwnShots {
  readonly #rules: Welcome;
  #shots: OwnShot[] = [];

  constructor(rules: Welcome) {
    this.#rules = rules;
  }

  get shots(): readonly OwnShot[] {
    return this.#shots;
  }

  /** A shot is fired here, as the letter of this number. */
  fire(letter: number, x: number, y: number, aim: number, tick: number): void {
    const radius = this.#rules.shipRadius;
    const direction = (aim / 65_536) * 2 * Math.PI;
    const shot = {
      number: 0,
      owner: this.#rules.player,
      deed: letter & 0xff,
      x: (x + Math.cos(direction) * radius) * SCALE,
      y: (y + Math.sin(direction) * radius) * SCALE,
      aim,
      firedAt: tick,
    };
    this.#shots.push({ shot, fate: "under way", deliveredAt: 0, seen: false });
  }

  /** The verdict on a packet that carried this letter. */
  settle(letter: number, delivered: boolean, tick: number): void {
    const shot = this.#shots.find((own) => own.shot.deed === (letter & 0xff));
    if (!shot) return;
    shot.fate = delivered ? "delivered" : "again";
    shot.deliveredAt = tick;
  }

  /** Returns whether this page draws the shot already. */
  has(shot: ShotState): boolean {
    return shot.owner === this.#rules.player && this.#shots.some((own) => own.shot.deed === shot.deed);
  }

  /** Lets go what is over: flown out, stopped, or gone from what the host shows. */
  update(tick: number, hosts: readonly ShotState[]): void {
    this.#shots = this.#shots.filter((own) => {
      const shown = hosts.some((shot) => shot.owner === this.#rules.player && shot.deed === own.shot.deed);
      own.seen ||= shown;
      const place = shotPlace(own.shot, tick, this.#rules);
      const gone = own.seen && !shown;
      const ignored = !own.seen && own.fate === "delivered" && tick - own.deliveredAt > PATIENCE;
      return !gone && !ignored && tick - own.shot.firedAt < this.#rules.shotLife && !isStopped(place.x, place.y, this.#rules);
    });
  }
}
