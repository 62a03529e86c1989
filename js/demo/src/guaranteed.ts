/**
 * Letters that arrive once and in order, on top of verdicts (arena/guaranteed.rs). A letter rides in a packet that goes
 * anyway; if the packet is dropped, the letter goes again with the next one; if it is delivered, never again.
 */

import { MAX_LETTERS, type Letter } from "./wire.js";

/** How far numbers may run ahead of the oldest letter that has not arrived. */
export const AHEAD = 64;
/** What a letter takes in a packet beyond its content, at most. */
const LETTER_HEAD = 6;

/** Letters on their way out. */
export class Outbox {
  #next = 0;
  /** In no packet that is under way, by number. */
  readonly #waiting: Letter[] = [];
  /** Not known to be delivered, in order. */
  readonly #open = new Set<number>();
  /** Of these, the ones that were dropped before. */
  readonly #again = new Set<number>();
  /** Letters that had to go again, once or more. */
  sentAgain = 0;

  /** Adds a letter of at most 255 bytes and returns its number. */
  push(content: Uint8Array): number {
    const number = this.#next++;
    this.#open.add(number);
    this.#waiting.push({ number, content });
    return number;
  }

  /** Letters that are not known to be delivered. */
  get open(): number {
    return this.#open.size;
  }

  /** Takes out the letters that fit into `room` bytes of a packet, beyond the byte for their count. */
  take(room: number): Letter[] {
    const oldest: number = this.#open.values().next().value ?? this.#next;
    const taken: Letter[] = [];
    for (;;) {
      const letter = this.#waiting[0];
      if (!letter || taken.length === MAX_LETTERS || letter.number - oldest >= AHEAD) return taken;
      room -= letter.content.length + LETTER_HEAD;
      if (room < 0) return taken;
      this.#waiting.shift();
      taken.push(letter);
    }
  }

  /** The verdict on a packet with these letters. */
  settle(letters: readonly Letter[], delivered: boolean): void {
    if (delivered) {
      for (const letter of letters) {
        this.#open.delete(letter.number);
        this.#again.delete(letter.number);
      }
    } else {
      for (const { number } of letters) {
        if (!this.#again.has(number)) this.sentAgain++;
        this.#again.add(number);
      }
      this.putBack(letters);
    }
  }

  /** Letters that were taken out for a packet that could not be sent. The oldest goes first. */
  putBack(letters: readonly Letter[]): void {
    this.#waiting.push(...letters);
    this.#waiting.sort((a, b) => a.number - b.number);
  }
}

/** Letters that have come, given out in order. */
export class Inbox {
  #next = 0;
  readonly #early = new Map<number, Uint8Array>();

  /** Takes a letter; false if no honest sender would have sent it. */
  take(letter: Letter): boolean {
    const ahead = letter.number - this.#next;
    if (ahead < 0 || ahead >= AHEAD || this.#early.has(letter.number)) return false;
    this.#early.set(letter.number, letter.content);
    return true;
  }

  /** The next ones in order that are here. */
  *next(): Generator<Uint8Array> {
    for (;;) {
      const content = this.#early.get(this.#next);
      if (!content) return;
      this.#early.delete(this.#next++);
      yield content;
    }
  }
}
