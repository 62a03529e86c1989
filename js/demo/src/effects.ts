/** What flashes up and fades: sparks of shots, rings of shields, bursts of ships. Calm pages only get what tells something. */

import { isCalm } from "./dom.js";

interface Effect {
  readonly kind: "spark" | "flash" | "burst";
  readonly x: number;
  readonly y: number;
  readonly colour: string;
  readonly begun: number;
  readonly lasts: number;
}

const LASTS = { spark: 220, flash: 260, burst: 620 };
const MOST = 80;

export class Effects {
  #effects: Effect[] = [];

  add(kind: Effect["kind"], x: number, y: number, colour: string, now: number): void {
    if (kind === "spark" && isCalm()) return;
    this.#effects.push({ kind, x, y, colour, begun: now, lasts: LASTS[kind] });
    if (this.#effects.length > MOST) this.#effects.shift();
  }

  /** Draws them in units of the arena; `unit` is a CSS pixel. */
  draw(context: CanvasRenderingContext2D, now: number, unit: number): void {
    this.#effects = this.#effects.filter((effect) => now - effect.begun < effect.lasts);
    context.lineCap = "round";
    for (const { kind, x, y, colour, begun, lasts } of this.#effects) {
      const part = Math.max(0, (now - begun) / lasts);
      const out = isCalm() ? 1 : 1 - (1 - part) ** 3;
      context.globalAlpha = (1 - part) ** 1.5;
      context.strokeStyle = colour;
      context.beginPath();
      if (kind === "burst") {
        context.lineWidth = Math.max(2.5, 1.5 * unit);
        context.arc(x, y, 18 + 46 * out, 0, 2 * Math.PI);
        for (let ray = 0; ray < 9 && !isCalm(); ray++) {
          const angle = (ray / 9) * 2 * Math.PI + x;
          const [near, far] = [10 + 42 * out, 22 + 50 * out];
          context.moveTo(x + Math.cos(angle) * near, y + Math.sin(angle) * near);
          context.lineTo(x + Math.cos(angle) * far, y + Math.sin(angle) * far);
        }
      } else if (kind === "flash") {
        context.lineWidth = Math.max(3, 2 * unit);
        context.arc(x, y, 26 + 5 * out, 0, 2 * Math.PI);
      } else {
        context.lineWidth = Math.max(2, unit);
        for (let ray = 0; ray < 5; ray++) {
          const angle = (ray / 5) * 2 * Math.PI + y;
          context.moveTo(x + Math.cos(angle) * (3 + 6 * out), y + Math.sin(angle) * (3 + 6 * out));
          context.lineTo(x + Math.cos(angle) * (5 + 11 * out), y + Math.sin(angle) * (5 + 11 * out));
        }
      }
      context.stroke();
    }
    context.globalAlpha = 1;
  }
}
