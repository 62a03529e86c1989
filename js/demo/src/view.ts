/**
 * The arena as a player has it: the newest states, the players, and the way back to the host (arena/view.rs). No socket:
 * packets and verdicts are handed in.
 */

import { readDelta } from "./delta.js";
import { Inbox, Outbox } from "./guaranteed.js";
import { check, NOTHING, type State } from "./state.js";
import { Malformed, readNews, Reader, readSnapshot, writeInput, type Control, type Letter, type News, type Snapshot } from "./wire.js";

/** Ticks for which states are kept: the host tells nothing against older ones. */
const BASE_AGE = 120;
/** The most letters that are open: then one does less. */
const LETTERS = 32;

export interface Player {
  readonly name: string;
  readonly bot: boolean;
  readonly points: number;
}

/** A packet that was made, until its verdict is there. */
export interface Outgoing {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly letters: readonly Letter[];
}

/** A snapshot that has been read. */
export interface Received {
  readonly head: Snapshot;
  readonly state: State;
  readonly news: readonly News[];
}

export class View {
  readonly players = new Map<number, Player>();
  readonly #inbox = new Inbox();
  readonly #outbox = new Outbox();
  readonly #tickRate: number;
  #states: State[] = [];
  #input = 0;
  /** Snapshots whose state is not what the host has. Not one, if verdicts are true. */
  mismatches = 0;
  /** Packets that mean nothing. */
  malformed = 0;

  constructor(tickRate: number) {
    this.#tickRate = tickRate;
  }

  /** The states that are kept, oldest first. */
  get states(): readonly State[] {
    return this.#states;
  }

  /** How many letters of this player had to go again, and how many are not known to be there. */
  get sentAgain(): number {
    return this.#outbox.sentAgain;
  }

  get open(): number {
    return this.#outbox.open;
  }

  /** Takes a packet of the host; nothing comes of one that cannot be read. */
  packet(bytes: Uint8Array): Received | undefined {
    try {
      return this.#read(bytes);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.malformed++;
      return undefined;
    }
  }

  #read(bytes: Uint8Array): Received | undefined {
    const input = new Reader(bytes);
    const head = readSnapshot(input);
    const base = head.baseAge === 0 ? NOTHING : this.#states.find((state) => state.tick + head.baseAge === head.tick);
    const newest = this.#states.at(-1);
    if (!base) throw new Malformed("told against a state that is not here");
    if (newest && newest.tick >= head.tick) throw new Malformed("not newer than the one before");
    const state = readDelta(input, base, head.tick, this.#tickRate);
    const letters = input.letters();
    input.end();
    if (check(state) !== head.check) {
      this.mismatches++;
      return undefined;
    }
    this.#states = [...this.#states.filter((old) => head.tick - old.tick <= BASE_AGE), state];
    for (const letter of letters) {
      if (!this.#inbox.take(letter)) this.malformed++;
    }
    return { head, state, news: [...this.#inbox.next()].map((content) => this.#learn(readNews(content))) };
  }

  #learn(news: News): News {
    if (news.kind === "joined") {
      this.players.set(news.player, { name: news.name, bot: news.bot, points: news.points });
    } else if (news.kind === "left") {
      this.players.delete(news.player);
    } else if (news.kind === "burst") {
      const by = this.players.get(news.by);
      if (by) this.players.set(news.by, { ...by, points: by.points + 1 });
    }
    return news;
  }

  /** Something to be done once. Its number, or nothing if too much is open already. */
  doOnce(deed: Uint8Array): number | undefined {
    return this.#outbox.open < LETTERS ? this.#outbox.push(deed) : undefined;
  }

  /** The packet of this tick; its verdict is to be handed to {@link settle}. */
  input(control: Control, maxPacketSize: number): Outgoing {
    const number = ++this.#input;
    const letters = this.#outbox.take(maxPacketSize - writeInput(number, control, []).length);
    return { number, bytes: writeInput(number, control, letters), letters };
  }

  /** The verdict on a packet, or that it could not be sent at all. */
  settle(packet: Outgoing, verdict: "delivered" | "dropped" | "unsent"): void {
    if (verdict === "unsent") this.#outbox.putBack(packet.letters);
    else this.#outbox.settle(packet.letters, verdict === "delivered");
  }
}
