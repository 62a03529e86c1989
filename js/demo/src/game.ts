/** One connection to the arena, from being let in to its end: packets out at 60 a second, snapshots in, and the picture. */

import type { TorqueConnection } from "torque-socket";

import { controlOf, type Controls } from "./controls.js";
import { OwnShots } from "./own_shots.js";
import { Prediction } from "./prediction.js";
import type { Motion } from "./rules.js";
import { Scene } from "./scene.js";
import { SCALE } from "./state.js";
import type { Surface } from "./dom.js";
import type { Strip } from "./strip.js";
import { shipAt, Timeline, type Moment } from "./timeline.js";
import { View, type Outgoing } from "./view.js";
import { fire, say, type News, type Welcome } from "./wire.js";

/** Ticks that are made up for after a pause; of a longer one the rest is left out. */
const CATCH_UP = 6;
/** Whom aiming helps to hit: within so many units, and so far beside the ship's own direction, in radians. */
const HELP_DISTANCE = 560;
const HELP_ANGLE = 0.8;

/** What has been counted since the page was let in. */
export interface Counters {
  /** Packets sent, and their verdicts. */
  inputs: number;
  delivered: number;
  dropped: number;
  /** Dropped packets without a letter: nothing was sent again for them. */
  letGo: number;
  /** Packets that could not be sent because too many await their verdict. */
  heldBack: number;
  snapshots: number;
  snapshotBytes: number;
  /** Snapshots told against a state that a verdict says is here. */
  differences: number;
  missing: number;
  shots: number;
  shotsDelivered: number;
  /** Lines of chat that were said. */
  lines: number;
}

export class Game {
  readonly view: View;
  readonly rules: Welcome;
  readonly counters: Counters = {
    inputs: 0, delivered: 0, dropped: 0, letGo: 0, heldBack: 0, snapshots: 0, snapshotBytes: 0, differences: 0, missing: 0,
    shots: 0, shotsDelivered: 0, lines: 0,
  };
  readonly #connection: TorqueConnection;
  readonly #controls: Controls;
  readonly #strip: Strip;
  readonly #scene: Scene;
  readonly #timeline: Timeline;
  readonly #prediction: Prediction;
  readonly #ownShots: OwnShots;
  readonly #onNews: (news: News) => void;
  readonly #shotLetters = new Set<number>();
  #ended = false;
  #tick = 0;
  #last: number | undefined;
  #owed = 0;
  #aim = -Math.PI / 2;
  #mayFireAt = 0;
  #newestTick = 0;
  /** When verdicts came that say delivered, and how long they took, in milliseconds; of the last second or so. */
  #verdicts: { at: number; took: number }[] = [];
  /** The fewest ticks between two snapshots so far. */
  #apart = Infinity;
  #moment: Moment | undefined;

  constructor(
    connection: TorqueConnection,
    rules: Welcome,
    parts: { field: Surface; controls: Controls; strip: Strip; onNews: (news: News) => void },
  ) {
    this.#connection = connection;
    this.rules = rules;
    this.view = new View(rules.tickRate);
    this.#controls = parts.controls;
    this.#strip = parts.strip;
    this.#onNews = parts.onNews;
    this.#scene = new Scene(parts.field, rules);
    this.#timeline = new Timeline(rules.tickRate);
    this.#prediction = new Prediction(rules);
    this.#ownShots = new OwnShots(rules);
    connection.onpacket = (packet) => this.#packet(packet, performance.now());
  }

  /** One's own ship, as it is shown; nothing while it is away. */
  get ship(): Motion | undefined {
    return this.#prediction.at(1);
  }

  /** Ticks that the picture of others is behind. */
  get behind(): number {
    return this.#timeline.behind;
  }

  /** The latest correction of one's own ship, in units. */
  get correction(): number {
    return this.#prediction.error;
  }

  /**
   * How long verdicts took in the last second, in milliseconds. The quickest one hardly had to wait for a packet to ride in:
   * it is the round trip.
   */
  get verdictTimes(): { quickest: number; usual: number } | undefined {
    const now = performance.now();
    this.#verdicts = this.#verdicts.filter(({ at }) => now - at < 1_000);
    const times = this.#verdicts.map(({ took }) => took).sort((a, b) => a - b);
    const [quickest, usual] = [times[0], times[times.length >> 1]];
    return quickest === undefined || usual === undefined ? undefined : { quickest, usual };
  }

  /** No more packets. */
  end(): void {
    this.#ended = true;
    this.#connection.onpacket = null;
  }

  /** Says a line to everybody. False if too much is open already. */
  say(text: string): boolean {
    const said = this.view.doOnce(say(text)) !== undefined;
    this.counters.lines += Number(said);
    return said;
  }

  /** The picture at this time, and the ticks until then. */
  frame(now: number): void {
    const tick = 1_000 / this.rules.tickRate;
    this.#owed += this.#last === undefined ? tick : now - this.#last;
    this.#last = now;
    if (this.#owed > CATCH_UP * tick) this.#owed = CATCH_UP * tick;
    for (; this.#owed >= tick; this.#owed -= tick) this.#step(now);
    const part = this.#owed / tick;
    const moment = this.#timeline.at(now, this.view.states);
    this.#moment = moment;
    if (!moment) return;
    const shownTick = this.#tick + part;
    this.#ownShots.update(shownTick, (moment.after ?? moment.before).shots);
    const { right, down } = this.#controls.throttle;
    this.#scene.draw({
      now,
      moment,
      players: this.view.players,
      own: this.#prediction.at(part),
      ownAim: this.#aim,
      ownThrust: right !== 0 || down !== 0,
      ownShots: this.#ownShots.shots,
      tick: shownTick,
      isOwnShot: (shot) => this.#ownShots.has(shot),
      fingers: this.#controls.fingers.values(),
    });
  }

  /** A tick: what the player wants goes to the host, and counts here at once. */
  #step(now: number): void {
    this.#tick++;
    if (this.#ended) return;
    const ship = this.ship;
    const throttle = this.#controls.throttle;
    this.#turn(ship);
    const control = controlOf(throttle, this.#aim);
    if (this.#controls.fires && ship && this.#tick >= this.#mayFireAt) {
      const letter = this.view.doOnce(fire(control.aim));
      if (letter !== undefined) {
        this.#mayFireAt = this.#tick + this.rules.shotEvery;
        this.#ownShots.fire(letter, ship.x, ship.y, control.aim, this.#tick);
        this.#shotLetters.add(letter);
        this.counters.shots++;
      }
    }
    const packet = this.view.input(control, this.#connection.maxPacketSize);
    this.#prediction.steer(packet.number, control);
    this.#send(packet, now);
  }

  #send(packet: Outgoing, now: number): void {
    if (this.#connection.inFlight >= this.#connection.window) {
      this.view.settle(packet, "unsent");
      this.counters.heldBack++;
      return;
    }
    const letters = packet.letters.map((letter) => letter.number);
    const mark = this.#strip.sent(letters, now);
    this.counters.inputs++;
    this.#connection.send(packet.bytes).then(
      (verdict) => {
        const delivered = verdict === "delivered";
        this.view.settle(packet, delivered ? "delivered" : "dropped");
        this.#strip.settle(mark, delivered);
        this.counters[delivered ? "delivered" : "dropped"]++;
        const at = performance.now();
        if (delivered) this.#verdicts.push({ at, took: at - now });
        if (!delivered && letters.length === 0) this.counters.letGo++;
        for (const letter of letters) {
          this.#ownShots.settle(letter, delivered, this.#tick);
          if (delivered && this.#shotLetters.delete(letter)) this.counters.shotsDelivered++;
        }
      },
      // The connection has ended; `closed` tells how.
      () => this.view.settle(packet, "unsent"),
    );
  }

  /** Points the ship: at the mouse, where a finger or the throttle points, or at whom it may help to hit. */
  #turn(ship: Motion | undefined): void {
    const aiming = this.#controls.aiming;
    if (aiming.mouse && ship) {
      const { x, y } = this.#scene.toArena(aiming.mouse.x, aiming.mouse.y);
      if (Math.hypot(x - ship.x, y - ship.y) > 4) this.#aim = Math.atan2(y - ship.y, x - ship.x);
      return;
    }
    if (aiming.direction !== undefined) this.#aim = aiming.direction;
    if (aiming.assisted && this.#controls.fires && ship) {
      this.#aim = this.#target(ship, aiming.direction) ?? this.#aim;
    }
  }

  /** Where to shoot to hit the nearest ship, if there is one near enough to where the player points. */
  #target(ship: Motion, direction: number | undefined): number | undefined {
    const moment = this.#moment;
    if (!moment) return undefined;
    let [best, least] = [undefined as number | undefined, HELP_DISTANCE];
    for (const number of moment.before.ships.keys()) {
      const other = number === this.rules.player ? undefined : shipAt(moment, number, this.rules.tickRate);
      if (!other) continue;
      const distance = Math.hypot(other.x / SCALE - ship.x, other.y / SCALE - ship.y);
      const flight = distance / this.rules.shotSpeed;
      const [x, y] = [(other.x + other.vx * flight) / SCALE, (other.y + other.vy * flight) / SCALE];
      const aim = Math.atan2(y - ship.y, x - ship.x);
      const beside = direction === undefined ? 0 : Math.abs(((aim - direction + 3 * Math.PI) % (2 * Math.PI)) - Math.PI);
      if (distance < least && beside < HELP_ANGLE) [best, least] = [aim, distance];
    }
    return best;
  }

  #packet(bytes: Uint8Array, now: number): void {
    const received = this.view.packet(bytes);
    if (!received) return;
    const { head, state, news } = received;
    this.counters.snapshots++;
    this.counters.snapshotBytes += bytes.length;
    this.counters.differences += Number(head.baseAge > 0);
    if (this.#newestTick > 0) {
      const ticks = head.tick - this.#newestTick;
      this.#apart = Math.min(this.#apart, ticks);
      const missing = Math.round(ticks / this.#apart) - 1;
      if (missing > 0) {
        this.counters.missing += missing;
        this.#strip.missed(missing, (this.#apart * 1_000) / this.rules.tickRate, now);
      }
    }
    this.#newestTick = head.tick;
    this.#strip.received(bytes.length, head.baseAge === 0, now);
    this.#timeline.arrived(head.tick, now);
    this.#prediction.correct(state.ships.get(this.rules.player), head.input);
    news.forEach(this.#onNews);
  }
}
