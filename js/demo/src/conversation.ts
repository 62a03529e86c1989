/** Lines of text over a connection, each once and in order; what a line's packet came to is told. */

import type { TorqueConnection } from "torque-socket";

import { Inbox, Outbox } from "./guaranteed.js";
import { cut, Malformed, Reader, Writer, type Letter } from "./wire.js";

/** The longest line, in bytes. */
export const MAX_LINE = 240;

/** What became of a line so far. */
export type Fate = "under way" | "dropped" | "delivered" | "lost";

/** What a conversation needs of a connection. */
export type Way = Pick<TorqueConnection, "send" | "maxPacketSize" | "inFlight" | "window">;

export class Conversation {
  readonly #way: Way;
  readonly #told: (line: number, fate: Fate, tries: number) => void;
  readonly #heard: (text: string) => void;
  readonly #outbox = new Outbox();
  readonly #inbox = new Inbox();
  readonly #tries = new Map<number, number>();
  #ended = false;
  /** Packets that mean nothing here. */
  malformed = 0;

  constructor(way: Way, events: { told: (line: number, fate: Fate, tries: number) => void; heard: (text: string) => void }) {
    this.#way = way;
    this.#told = events.told;
    this.#heard = events.heard;
  }

  /** Says a line. Returns its number, under which its fate is told. */
  say(text: string): number {
    const line = this.#outbox.push(cut(text, MAX_LINE).slice());
    // The caller should know the line's number before it hears of its fate.
    queueMicrotask(() => this.#send());
    return line;
  }

  /** A packet of the other side. */
  packet(bytes: Uint8Array): void {
    try {
      const input = new Reader(bytes);
      const letters = input.letters();
      input.end();
      for (const letter of letters) if (!this.#inbox.take(letter)) this.malformed++;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.malformed++;
    }
    for (const content of this.#inbox.next()) this.#heard(new TextDecoder().decode(content).replace(/\p{C}/gu, ""));
  }

  /** The connection has ended: what has no verdict by now has arrived, or not. */
  end(): void {
    this.#ended = true;
    for (const [line, tries] of this.#tries) this.#told(line, "lost", tries);
    this.#tries.clear();
  }

  /** Sends what waits, as far as the window has room. */
  #send(): void {
    while (!this.#ended && this.#way.inFlight < this.#way.window) {
      const letters = this.#outbox.take(this.#way.maxPacketSize - 1);
      if (letters.length === 0) return;
      for (const { number } of letters) {
        const tries = (this.#tries.get(number) ?? 0) + 1;
        this.#tries.set(number, tries);
        this.#told(number, "under way", tries);
      }
      this.#way.send(packetOf(letters)).then(
        (verdict) => this.#settle(letters, verdict === "delivered"),
        // The connection has ended: `end` tells.
        () => this.#outbox.putBack(letters),
      );
    }
  }

  #settle(letters: readonly Letter[], delivered: boolean): void {
    this.#outbox.settle(letters, delivered);
    for (const { number } of letters) {
      const tries = this.#tries.get(number);
      if (tries === undefined) continue;
      this.#told(number, delivered ? "delivered" : "dropped", tries);
      if (delivered) this.#tries.delete(number);
    }
    this.#send();
  }
}

function packetOf(letters: readonly Letter[]): Uint8Array {
  const out = new Writer().byte(letters.length);
  for (const { number, content } of letters) out.number(number).byte(content.length).bytes(content);
  return out.done();
}
