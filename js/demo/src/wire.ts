/**
 * The messages of the arena, as examples/demo/src/arena/wire.rs lists them. What the host sends is read
 * as carefully as if anybody had sent it: every reader throws a {@link Malformed}, and nothing else.
 */

/** Bytes that mean nothing in this game. */
export class Malformed extends Error {}

/** Reads fields one after the other. */
export class Reader {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#view.byteLength) throw new Malformed("it ends too early");
    this.#at += count;
    return at;
  }

  byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  short(): number {
    return this.#view.getUint16(this.#take(2));
  }

  long(): number {
    return this.#view.getUint32(this.#take(4));
  }

  number(): number {
    let number = 0;
    for (let place = 0; place < 5; place++) {
      const byte = this.byte();
      // Not by shifting, which would make it a signed number of 32 bits.
      number += (byte & 0x7f) * 2 ** (7 * place);
      if (byte < 0x80) {
        if (number > 0xffff_ffff) break;
        return number;
      }
    }
    throw new Malformed("a number has more than 32 bits");
  }

  signed(): number {
    const number = this.number();
    return number % 2 === 0 ? number / 2 : -(number + 1) / 2;
  }

  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, count).slice();
  }

  text(): string {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(this.bytes(this.byte()));
    } catch (error) {
      if (error instanceof Malformed) throw error;
      throw new Malformed("a text is no UTF-8");
    }
  }

  letters(): Letter[] {
    const count = this.byte();
    if (count > MAX_LETTERS) throw new Malformed("too many letters");
    return Array.from({ length: count }, () => {
      const number = this.number();
      return { number, content: this.bytes(this.byte()) };
    });
  }

  end(): void {
    if (this.#at !== this.#view.byteLength) throw new Malformed("it goes on after its end");
  }
}

/** Writes fields one after the other. */
export class Writer {
  readonly #bytes: number[] = [];

  byte(value: number): this {
    this.#bytes.push(value & 0xff);
    return this;
  }

  short(value: number): this {
    return this.byte(value >>> 8).byte(value);
  }

  long(value: number): this {
    return this.short(value >>> 16).short(value);
  }

  number(value: number): this {
    for (; value >= 0x80; value = Math.floor(value / 0x80)) this.byte((value % 0x80) | 0x80);
    return this.byte(value);
  }

  bytes(value: Uint8Array): this {
    for (const byte of value) this.#bytes.push(byte);
    return this;
  }

  done(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** Something that arrives once and in order (guaranteed.ts). */
export interface Letter {
  readonly number: number;
  readonly content: Uint8Array;
}

/** The most letters of one packet. */
export const MAX_LETTERS = 32;
/** The longest name and the longest line of chat, in bytes of UTF-8. */
export const MAX_NAME = 24;
export const MAX_SAID = 200;

/** Cuts a text to at most `most` bytes, without half a character. */
export function cut(text: string, most: number): Uint8Array {
  const bytes = new Uint8Array(most);
  const { written } = new TextEncoder().encodeInto(text, bytes);
  return bytes.subarray(0, written);
}

/** What a player says about itself when it asks to be let in. */
export function hello(name: string): Uint8Array {
  return new Writer().byte(0).bytes(cut(name, MAX_NAME)).done();
}

export interface Pillar {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/** What the host says when it lets a player in: its number, and the rules (units of the arena, ticks). */
export interface Welcome {
  readonly player: number;
  /** Ticks a second. */
  readonly tickRate: number;
  /** Ticks that a shot flies, and ticks between two shots. */
  readonly shotLife: number;
  readonly shotEvery: number;
  readonly shield: number;
  readonly width: number;
  readonly height: number;
  /** Units per second per second. */
  readonly acceleration: number;
  /** Units per second. */
  readonly shotSpeed: number;
  /** What is left of a speed after a tick, and of a speed across a wall after meeting it. */
  readonly glide: number;
  readonly bounce: number;
  readonly shipRadius: number;
  readonly shotRadius: number;
  readonly pillars: readonly Pillar[];
}

export function readWelcome(bytes: Uint8Array): Welcome {
  const input = new Reader(bytes);
  const welcome = {
    player: input.byte(),
    tickRate: input.byte(),
    shotLife: input.byte(),
    shotEvery: input.byte(),
    shield: input.byte(),
    width: input.short(),
    height: input.short(),
    acceleration: input.short(),
    shotSpeed: input.short(),
    glide: input.short() / 1000,
    bounce: input.short() / 1000,
    shipRadius: input.short(),
    shotRadius: input.short(),
    pillars: Array.from({ length: input.byte() }, () => ({
      x: input.short(),
      y: input.short(),
      radius: input.short(),
    })),
  };
  input.end();
  if (welcome.tickRate === 0) throw new Malformed("an arena without time");
  return welcome;
}

/** What a player does with its ship; the newest counts. */
export interface Control {
  /** Throttle to the right and downwards, whole numbers from -127 to 127. */
  readonly right: number;
  readonly down: number;
  /** Where the ship points: 65,536 to a full turn, clockwise from the right. */
  readonly aim: number;
}

/** A packet to the host. */
export function writeInput(number: number, control: Control, letters: readonly Letter[]): Uint8Array {
  const out = new Writer().long(number).byte(control.right).byte(control.down).short(control.aim);
  out.byte(letters.length);
  for (const letter of letters) {
    out.number(letter.number).byte(letter.content.length).bytes(letter.content);
  }
  return out.done();
}

/** The head of a packet to a player. */
export interface Snapshot {
  readonly tick: number;
  /** How many ticks older the state is that this one is told against; 0 if against none. */
  readonly baseAge: number;
  /** The newest input that this state is the outcome of. */
  readonly input: number;
  readonly check: number;
}

export function readSnapshot(input: Reader): Snapshot {
  return { tick: input.long(), baseAge: input.number(), input: input.long(), check: input.short() };
}

/** Deeds, as contents of letters. */
export function fire(aim: number): Uint8Array {
  return new Writer().byte(1).short(aim).done();
}

export function say(text: string): Uint8Array {
  const bytes = cut(text, MAX_SAID);
  return new Writer().byte(2).byte(bytes.length).bytes(bytes).done();
}

/** What every player learns, once and in order. */
export type News =
  | { readonly kind: "joined"; readonly player: number; readonly bot: boolean; readonly points: number; readonly name: string }
  | { readonly kind: "left"; readonly player: number }
  | { readonly kind: "burst"; readonly by: number; readonly ship: number }
  | { readonly kind: "said"; readonly player: number; readonly text: string };

export function readNews(content: Uint8Array): News {
  const input = new Reader(content);
  const news = readKind(input);
  input.end();
  return news;
}

function readKind(input: Reader): News {
  const kind = input.byte();
  const player = input.byte();
  switch (kind) {
    case 1: {
      const flags = input.byte();
      return { kind: "joined", player, bot: (flags & 1) !== 0, points: input.short(), name: input.text() };
    }
    case 2:
      return { kind: "left", player };
    case 3:
      return { kind: "burst", by: player, ship: input.byte() };
    case 4:
      return { kind: "said", player, text: input.text() };
    default:
      throw new Malformed("news of an unknown kind");
  }
}
