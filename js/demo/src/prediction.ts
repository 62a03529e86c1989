/** One's own ship, flown at once by the rules that the host has told, and set right by the host's word. */

import { fly, motionOf, type Motion } from "./rules.js";
import type { ShipState } from "./state.js";
import type { Control, Welcome } from "./wire.js";

/** What is left of a correction after a tick: it is seen as a short drift. */
const EASE = 0.82;
/** Units from which a correction is a jump. */
const JUMP = 120;
/** Inputs that are kept until the host's word on them. */
const KEPT = 180;

export class Prediction {
  readonly #rules: Welcome;
  #inputs: { number: number; control: Control }[] = [];
  #motion: Motion | undefined;
  #last: Motion | undefined;
  /** What is still shown of errors that have been set right. */
  #offset = { x: 0, y: 0 };
  /** How far the latest correction was, in units. */
  error = 0;

  constructor(rules: Welcome) {
    this.#rules = rules;
  }

  /** This control goes to the host under this number, and counts here for a tick. */
  steer(number: number, control: Control): void {
    this.#inputs.push({ number, control });
    if (this.#inputs.length > KEPT) this.#inputs.shift();
    this.#last = this.#motion;
    if (this.#motion) this.#motion = fly(this.#motion, control, this.#rules);
    this.#offset = { x: this.#offset.x * EASE, y: this.#offset.y * EASE };
  }

  /** The host's word: where the ship was after the input of this number. Nothing if there is none. */
  correct(ship: ShipState | undefined, input: number): void {
    this.#inputs = this.#inputs.filter((kept) => kept.number > input);
    const before = this.#motion;
    if (!ship) {
      [this.#motion, this.#last] = [undefined, undefined];
      return;
    }
    let motion = motionOf(ship);
    for (const { control } of this.#inputs) motion = fly(motion, control, this.#rules);
    this.#motion = motion;
    if (!before) {
      [this.#offset, this.#last] = [{ x: 0, y: 0 }, motion];
      return;
    }
    const [dx, dy] = [before.x - motion.x, before.y - motion.y];
    this.error = Math.hypot(dx, dy);
    if (this.error > JUMP) {
      [this.#offset, this.#last] = [{ x: 0, y: 0 }, motion];
    } else {
      this.#offset = { x: this.#offset.x + dx, y: this.#offset.y + dy };
      if (this.#last) this.#last = { ...this.#last, x: this.#last.x - dx, y: this.#last.y - dy };
    }
  }

  /** Where to draw the ship, so far between the last tick and this one. */
  at(part: number): Motion | undefined {
    const [last, now] = [this.#last ?? this.#motion, this.#motion];
    if (!last || !now) return undefined;
    return {
      ...now,
      x: last.x + (now.x - last.x) * part + this.#offset.x,
      y: last.y + (now.y - last.y) * part + this.#offset.y,
    };
  }
}
