/** The arena's page. `window.torqueDemo` ({@link TorqueDemo}) lets tests and curious people watch it from outside. */

import { TorqueError, type ConnectionFigures } from "torque-socket";

import { Controls } from "./controls.js";
import { element, make, setText, Surface } from "./dom.js";
import { Game, type Counters } from "./game.js";
import { EVERY, Graph, LossMeter } from "./graphs.js";
import { join, type Joined, NoArena } from "./join.js";
import { LinkSliders } from "./link.js";
import { Log } from "./log.js";
import { reasonOf, textOf } from "./reasons.js";
import { Strip } from "./strip.js";
import type { News } from "./wire.js";

/** The page's state, as seen from outside. */
export interface TorqueDemo {
  readonly state: "joining" | "playing" | "ended";
  /** This page's number in the arena, once it is let in. */
  readonly player: number | null;
  /** The players that this page knows, itself among them. */
  readonly players: readonly { number: number; name: string; bot: boolean; points: number }[];
  /** Ships in the newest snapshot. */
  readonly ships: number;
  /** Where this page's own ship is shown, in units of the arena; null while it is away. */
  readonly position: { x: number; y: number } | null;
  /** What carries the packets. */
  readonly carrier: string;
  readonly counters: Counters & {
    /** Shots and lines that had to go again, and those without a verdict. */
    readonly sentAgain: number;
    readonly open: number;
    /** Snapshots whose state is not the host's, and packets that mean nothing: none, if all is well. */
    readonly mismatches: number;
    readonly malformed: number;
  };
  /** Figures of the connection, as TorqueConnection.getStats gives them; null before the first. */
  readonly figures: ConnectionFigures | null;
  /** How long verdicts took in the last second, in milliseconds; null if there were none. */
  readonly verdictTimes: { quickest: number; usual: number } | null;
}

declare global {
  interface Window {
    torqueDemo: TorqueDemo;
  }
}

/** Seconds before the page tries by itself again, one after the other. */
const AGAIN_AFTER = [1, 2, 4, 8, 8, 8];

const parameters = new URLSearchParams(location.search);
const field = new Surface(element<HTMLCanvasElement>("field"));
const strip = new Strip(new Surface(element<HTMLCanvasElement>("strip")));
const surface = (id: string) => new Surface(element<HTMLCanvasElement>(id));
const graphs = {
  rtt: new Graph(surface("rtt-graph"), 60),
  lossOut: new Graph(surface("loss-out-graph"), 0.08),
  lossIn: new Graph(surface("loss-in-graph"), 0.08),
};
const log = new Log(element("log"));
const sayText = element<HTMLInputElement>("say-text");
const nameText = element<HTMLInputElement>("name");
const controls = new Controls(field.canvas, () => sayText.focus());

let state: TorqueDemo["state"] = "joining";
let joined: Joined | undefined;
let game: Game | undefined;
let figures: ConnectionFigures | undefined;
let attempt: AbortController | undefined;
let tries = 0;
let again: ReturnType<typeof setTimeout> | undefined;
let meters = { out: new LossMeter(), in: new LossMeter() };

const links = new LinkSliders((link) => joined?.socket.setSimulatedLink(link));

function show(now: typeof state, text: string): void {
  state = now;
  setText(element("status"), text);
  element("status").dataset.state = now === "joining" ? "waiting" : now;
  setText(element("connect"), now === "ended" ? "Connect" : "Disconnect");
}

/** A notice over the field: with a button, or only for a moment, or none. */
function notice(text: string, withButton = false): void {
  const box = element("notice");
  box.hidden = text === "";
  box.classList.toggle("brief", !withButton);
  element("notice-button").hidden = !withButton;
  setText(element("notice-text"), text);
}

async function begin(): Promise<void> {
  clearTimeout(again);
  attempt?.abort();
  const mine = (attempt = new AbortController());
  show("joining", "Connecting");
  notice("");
  log.restart();
  try {
    const name = nameText.value.trim() || "Guest";
    const carrier = parameters.get("carrier") ?? undefined;
    const tell = (parts: (string | { b: string })[]) => log.add(parts, "event");
    const now = await join({ name, link: links.link, carrier, signal: mine.signal, tell });
    if (attempt !== mine) return void now.socket.shutdown();
    play(now);
  } catch (error) {
    if (attempt !== mine) return;
    const { code, message, reason } =
      error instanceof TorqueError || error instanceof NoArena ? error : { code: "", message: String(error), reason: new Uint8Array() };
    over(code, textOf(reason), message);
  }
}

function play(now: Joined): void {
  joined = now;
  tries = 0;
  meters = { out: new LossMeter(), in: new LossMeter() };
  strip.reset();
  const current = new Game(now.connection, now.rules, { field, controls, strip, onNews: learn });
  game = current;
  show("playing", `${now.carrier} to ${now.connection.peer.address}`);
  if (document.activeElement === document.body) field.canvas.focus({ preventScroll: true });
  void now.connection.closed.then(async ({ code, by, reason }) => {
    current.end();
    void now.socket.shutdown();
    if (joined !== now) return;
    joined = undefined;
    // The socket knows better than its connection if the gateway is what has gone.
    if (by === "application") over("", "", "You have left the arena", false);
    else over(code, textOf(reason), code);
  });
}

/** It is over, or did not begin: says why, and comes again by itself where that may help. */
function over(code: string, said: string, message: string, mayComeAgain = true): void {
  const reason = reasonOf(code, said, message);
  const wait = reason.again && mayComeAgain ? AGAIN_AFTER[tries++] : undefined;
  show("ended", code ? code.replaceAll("_", " ") : "Not connected");
  notice(`${reason.text}.${wait ? " Trying again …" : ""}`, true);
  log.add([{ b: reason.text }], "event");
  if (wait) again = setTimeout(() => void begin(), wait * 1_000);
}

function leave(): void {
  clearTimeout(again);
  if (joined) {
    joined.connection.close("the player leaves");
  } else {
    attempt?.abort();
    attempt = undefined;
    over("", "", "Not connected", false);
  }
}

function learn(news: News): void {
  const me = game?.rules.player;
  const name = (player: number) => ({ b: player === me ? "You" : (game?.view.players.get(player)?.name ?? "Somebody") });
  switch (news.kind) {
    case "joined":
      if (news.player !== me) log.add([name(news.player), news.bot ? " plays, a bot" : " plays"]);
      break;
    case "left":
      break;
    case "burst":
      // What bots do among themselves is seen, and need not be read out.
      if (news.by === me) log.add([name(news.by), " burst ", name(news.ship)], "me");
      else if (news.ship === me) log.add([name(news.by), " burst you"]);
      break;
    case "said":
      log.add([name(news.player), `: ${news.text}`], news.player === me ? "said me" : "said");
      break;
  }
  showStandings();
}

function showStandings(): void {
  const me = game?.rules.player;
  const players = [...(game?.view.players ?? [])].sort(([, a], [, b]) => b.points - a.points);
  const lines = players.slice(0, 8).map(([number, player]) => {
    const line = make("li", number === me ? "me" : player.bot ? "" : "person");
    line.append(make("span", "", player.name), make("span", "", String(player.points)));
    return line;
  });
  element("standings").replaceChildren(...lines);
}

const count = new Intl.NumberFormat("en");
const unit = (id: string, value: string, unit: string) => {
  const output = element(id);
  if (output.dataset.value === value) return;
  output.dataset.value = value;
  output.replaceChildren(value, make("small", "", ` ${unit}`));
};

/** Figures, a few times a second. */
async function measure(): Promise<void> {
  const current = game;
  if (!current || !joined) return;
  figures = (await joined.connection.getStats()) ?? figures;
  if (!figures) return;
  const { delivered, dropped, received, missed } = figures.counters;
  const lossOut = meters.out.add(delivered ?? 0, dropped ?? 0);
  const lossIn = meters.in.add(received ?? 0, missed ?? 0);
  const times = current.verdictTimes;
  if (times) {
    unit("rtt", times.quickest.toFixed(times.quickest < 10 ? 1 : 0), "ms");
    setText(element("verdict-after"), `${times.usual.toFixed(0)} ms`);
    graphs.rtt.add(times.quickest);
  }
  unit("loss-out", (lossOut * 100).toFixed(lossOut < 0.1 ? 1 : 0), "%");
  unit("loss-in", (lossIn * 100).toFixed(lossIn < 0.1 ? 1 : 0), "%");
  graphs.lossOut.add(lossOut);
  graphs.lossIn.add(lossIn);
  const { counters, view } = current;
  const letters = counters.shots + counters.lines;
  setText(element("delivered"), `${count.format(counters.delivered)} of ${count.format(counters.delivered + counters.dropped)}`);
  setText(element("let-go"), count.format(counters.letGo));
  setText(element("sent-again"), `${count.format(view.sentAgain)} of ${count.format(letters)}`);
  if (counters.snapshots > 0) {
    const part = Math.floor((counters.differences / counters.snapshots) * 100);
    setText(element("differences"), `${part} %, ${Math.round(counters.snapshotBytes / counters.snapshots)} bytes each`);
    const equal = counters.snapshots + view.mismatches;
    setText(element("equal"), `${count.format(counters.snapshots)} of ${count.format(equal)}`);
  }
}

function frame(now: number): void {
  requestAnimationFrame(frame);
  if (!game) return;
  game.frame(now);
  strip.draw(now);
  if (state === "playing") notice(game.ship || game.counters.snapshots === 0 ? "" : "Burst. Back in a moment");
}

element("say").addEventListener("submit", (event) => {
  event.preventDefault();
  if (sayText.value.trim() && game?.say(sayText.value.trim())) sayText.value = "";
  field.canvas.focus({ preventScroll: true });
});
element("who").addEventListener("submit", (event) => {
  event.preventDefault();
  remember();
  tries = 0;
  joined?.connection.close("the player comes again by another name");
  joined = undefined;
  void begin();
});
element("connect").addEventListener("click", () => {
  tries = 0;
  if (state === "ended") void begin();
  else leave();
});
element("notice-button").addEventListener("click", () => {
  tries = 0;
  void begin();
});
document.addEventListener("visibilitychange", () => controls.release());

/** Keeps the name for the next time, where the browser allows it. */
function remember(): void {
  try {
    localStorage.setItem("name", nameText.value.trim());
  } catch {
    // Then it is asked again.
  }
}

function remembered(): string {
  try {
    return localStorage.getItem("name") ?? "";
  } catch {
    return "";
  }
}

nameText.value = parameters.get("name") ?? (remembered() || `Guest ${Math.floor(Math.random() * 90) + 10}`);

window.torqueDemo = {
  get state() {
    return state;
  },
  get player() {
    return game?.rules.player ?? null;
  },
  get players() {
    return [...(game?.view.players ?? [])].map(([number, player]) => ({ number, ...player }));
  },
  get ships() {
    return game?.view.states.at(-1)?.ships.size ?? 0;
  },
  get position() {
    const ship = game?.ship;
    return ship ? { x: ship.x, y: ship.y } : null;
  },
  get carrier() {
    return joined?.socket.carrier ?? "";
  },
  get counters() {
    const none = { inputs: 0, delivered: 0, dropped: 0, letGo: 0, heldBack: 0, snapshots: 0, snapshotBytes: 0 };
    const counters = game?.counters ?? { ...none, differences: 0, missing: 0, shots: 0, shotsDelivered: 0, lines: 0 };
    const { sentAgain = 0, open = 0, mismatches = 0, malformed = 0 } = game?.view ?? {};
    return { ...counters, sentAgain, open, mismatches, malformed };
  },
  get figures() {
    return figures ?? null;
  },
  get verdictTimes() {
    return game?.verdictTimes ?? null;
  },
};

setInterval(() => void measure(), EVERY);
requestAnimationFrame(frame);
void begin();
