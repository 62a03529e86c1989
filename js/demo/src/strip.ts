/**
 * Every packet as a mark, newest at the right. Above what this page sends: it stands when it is delivered, and is a cross
 * when it was dropped; with a shot or a line in it, it has a dot, and an arc leads from the packet in which that was lost to
 * the one that brings it again. Below what comes, as high as it is long.
 */

import { isCalm, palette, type Palette, type Surface } from "./dom.js";

/** A packet to the arena. */
export interface SentMark {
  readonly at: number;
  /** Letters in it, by number. */
  readonly letters: readonly number[];
  verdict: "delivered" | "dropped" | undefined;
  /** Packets in which letters of this one were lost. */
  readonly again: readonly SentMark[];
}

/** A packet from the arena, or one that is missing. */
interface ReceivedMark {
  readonly at: number;
  readonly bytes: number;
  readonly whole: boolean;
  readonly missing: boolean;
}

/** CSS pixels for a second, and how long marks are kept at most. */
const SPEED = 180;
const SPEED_SMALL = 130;
const KEPT = 12_000;
/** Milliseconds between two pictures on calm pages. */
const CALM = 500;

export class Strip {
  readonly #surface: Surface;
  #sent: SentMark[] = [];
  #received: ReceivedMark[] = [];
  #lost = new Map<number, SentMark>();
  #drawn = 0;

  constructor(surface: Surface) {
    this.#surface = surface;
  }

  /** Begins with nothing. */
  reset(): void {
    [this.#sent, this.#received, this.#lost] = [[], [], new Map()];
  }

  /** A packet is sent now. */
  sent(letters: readonly number[], now: number): SentMark {
    const again = [...new Set(letters.flatMap((letter) => this.#lost.get(letter) ?? []))];
    for (const letter of letters) this.#lost.delete(letter);
    const mark: SentMark = { at: now, letters, verdict: undefined, again };
    this.#sent.push(mark);
    return mark;
  }

  /** Its verdict. */
  settle(mark: SentMark, delivered: boolean): void {
    mark.verdict = delivered ? "delivered" : "dropped";
    if (!delivered) for (const letter of mark.letters) this.#lost.set(letter, mark);
  }

  /** A packet has come; `whole`: told against nothing. */
  received(bytes: number, whole: boolean, now: number): void {
    this.#received.push({ at: now, bytes, whole, missing: false });
  }

  /** `count` packets before the one that comes now are missing; they were sent `apart` milliseconds from each other. */
  missed(count: number, apart: number, now: number): void {
    for (let back = Math.min(count, 60); back > 0; back--) {
      this.#received.push({ at: now - back * apart, bytes: 0, whole: false, missing: true });
    }
  }

  draw(now: number): void {
    if (isCalm() && now - this.#drawn < CALM) return;
    this.#drawn = now;
    const fresh = (mark: { at: number }) => now - mark.at < KEPT;
    this.#sent = this.#sent.filter(fresh);
    this.#received = this.#received.filter(fresh);
    const { width, height } = this.#surface;
    const context = this.#surface.clear();
    const colours = palette.now;
    const speed = width < 500 ? SPEED_SMALL : SPEED;
    // Marks do not run through the words: these stand at the left where there is room, else above.
    const [gutter, above] = width < 500 ? [0, 14] : [84, 0];
    const x = (at: number) => width - 4 - ((now - at) / 1_000) * speed;
    const middle = Math.round(height * 0.5);
    const bottom = Math.round(height) - 0.5;
    const old = now - ((width - gutter) / speed) * 1_000;
    for (const [line, text] of [[middle, "you → arena"], [bottom, "arena → you"]] as const) {
      context.strokeStyle = colours.line;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(gutter, line - 0.5);
      context.lineTo(width, line - 0.5);
      context.stroke();
      context.font = `500 11.5px ${colours.font}`;
      context.textBaseline = gutter > 0 ? "bottom" : "top";
      context.textAlign = "left";
      context.fillStyle = colours.soft;
      context.fillText(text, 0, gutter > 0 ? line + 1 : line - middle + 1);
    }
    context.save();
    context.beginPath();
    context.rect(gutter, above, width, middle - above);
    context.rect(gutter, middle + above, width, height);
    context.clip();
    for (const mark of this.#sent) if (mark.at >= old) drawSent(context, mark, x, middle, colours);
    for (const mark of this.#received) if (mark.at >= old) drawReceived(context, mark, x(mark.at), bottom, middle - 18, colours);
    context.restore();
  }
}

function drawSent(
  context: CanvasRenderingContext2D,
  mark: SentMark,
  x: (at: number) => number,
  base: number,
  colours: Palette,
): void {
  const at = x(mark.at);
  const high = base - 17;
  if (mark.verdict === "dropped") {
    cross(context, at, base - 7, mark.letters.length > 0 ? colours.accent : colours.ink);
  } else {
    bar(context, at, base, mark.verdict ? 12 : 4, mark.verdict ? colours.soft : colours.faint);
  }
  if (mark.letters.length === 0) return;
  context.strokeStyle = context.fillStyle = colours.accent;
  context.lineWidth = 1.4;
  context.beginPath();
  context.arc(at, high, 2.6, 0, 2 * Math.PI);
  if (mark.verdict === "delivered") context.fill();
  else context.stroke();
  for (const lost of mark.again) {
    const from = x(lost.at);
    const rise = Math.min(26, 8 + (at - from) * 0.12);
    context.beginPath();
    context.moveTo(from, high - 4);
    context.bezierCurveTo(from + (at - from) * 0.25, high - rise, at - (at - from) * 0.25, high - rise, at, high - 4);
    context.stroke();
  }
}

function drawReceived(
  context: CanvasRenderingContext2D,
  mark: ReceivedMark,
  at: number,
  base: number,
  room: number,
  colours: Palette,
): void {
  if (mark.missing) return cross(context, at, base - 7, colours.ink);
  // Logarithmic, so that a dozen bytes and a thousand can both be seen.
  const height = Math.min(room, 4 + 5 * Math.log2(1 + mark.bytes / 24));
  bar(context, at, base, height, mark.whole ? colours.ink : colours.soft);
}

function bar(context: CanvasRenderingContext2D, x: number, base: number, height: number, colour: string): void {
  context.strokeStyle = colour;
  context.lineWidth = 1.4;
  context.lineCap = "round";
  context.beginPath();
  context.moveTo(x, base - 2);
  context.lineTo(x, base - 2 - height);
  context.stroke();
}

function cross(context: CanvasRenderingContext2D, x: number, y: number, colour: string): void {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.lineCap = "round";
  context.beginPath();
  context.moveTo(x - 3, y - 3);
  context.lineTo(x + 3, y + 3);
  context.moveTo(x + 3, y - 3);
  context.lineTo(x - 3, y + 3);
  context.stroke();
}
