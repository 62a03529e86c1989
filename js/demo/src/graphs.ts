/** Small graphs of the last half minute. */

import { palette, type Surface } from "./dom.js";

/** Milliseconds between two samples, and how many are shown. */
export const EVERY = 250;
const SAMPLES = 120;

export class Graph {
  readonly #surface: Surface;
  /** A scale that shows less than this as little. */
  readonly #least: number;
  #samples: number[] = [];

  constructor(surface: Surface, least: number) {
    this.#surface = surface;
    this.#least = least;
  }

  add(sample: number): void {
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    this.draw();
  }

  draw(): void {
    const { width, height } = this.#surface;
    const context = this.#surface.clear();
    const colours = palette.now;
    const most = Math.max(this.#least, ...this.#samples) * 1.1;
    const x = (index: number) => width - ((this.#samples.length - 1 - index) / (SAMPLES - 1)) * width;
    const y = (sample: number) => height - 1.5 - (sample / most) * (height - 4);
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, height - 0.5);
    context.lineTo(width, height - 0.5);
    context.stroke();
    if (this.#samples.length < 2) return;
    const line = () => {
      context.beginPath();
      this.#samples.forEach((sample, index) => context.lineTo(x(index), y(sample)));
    };
    line();
    context.lineTo(width, height);
    context.lineTo(x(0), height);
    context.globalAlpha = 0.1;
    context.fillStyle = colours.ink;
    context.fill();
    context.globalAlpha = 1;
    line();
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.4;
    context.lineJoin = "round";
    context.stroke();
  }
}

/** The share of losses among the packets of about the last three seconds, from counters that only grow. */
export class LossMeter {
  readonly #samples: { good: number; lost: number }[] = [];

  /** The counters as they are now. Gives the share, 0 to 1. */
  add(good: number, lost: number): number {
    this.#samples.push({ good, lost });
    if (this.#samples.length > 3_000 / EVERY) this.#samples.shift();
    const first = this.#samples[0]!;
    const [more, less] = [good - first.good, lost - first.lost];
    return more + less > 0 ? less / (more + less) : 0;
  }
}
