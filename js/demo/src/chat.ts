/**
 * A chat between two pages: one hosts and shows a link with its key, the other opens the link and is let in or refused. A lobby introduces the
 * two, and relays until there is a direct path. Where the program that serves the page has none, the link holds the host's address.
 * `window.torqueChat` ({@link TorqueChat}) lets tests and curious people watch it from outside.
 */

import { TorqueError, TorqueSocket, type ConnectRequest, type TorqueConnection } from "torque-socket";

import { Conversation, type Fate } from "./conversation.js";
import { element, make, setText } from "./dom.js";
import { CARRIERS, short } from "./join.js";
import { LinkSliders } from "./link.js";
import { enterRoom, hostRoom, LobbyError, places, readRoom, roomName, roomText } from "./lobby.js";
import { Log } from "./log.js";
import { reasonOf, textOf } from "./reasons.js";
import { cut, MAX_NAME } from "./wire.js";

/** What both pages must share. */
const APPLICATION = "torque chat 1";

/** A line of the conversation. */
interface Line {
  readonly mine: boolean;
  readonly text: string;
  /** For lines of this page: what became of it, and how often it was sent. */
  fate: Fate;
  tries: number;
}

/** The page's state, as seen from outside. */
export interface TorqueChat {
  readonly state: "closed" | "waiting" | "asking" | "asked" | "talking";
  /** The link to this page's room; empty if it hosts none. */
  readonly link: string;
  readonly lines: readonly Readonly<Line>[];
  /** The way that lines take: by the lobby, or from page to page; empty while nobody talks. */
  readonly path: "" | "relayed" | "direct";
  /** Why the last connection ended, or never was. */
  readonly reason: string;
}

declare global {
  interface Window {
    torqueChat: TorqueChat;
  }
}

const log = new Log(element("log"));
const sayText = element<HTMLInputElement>("say-text");
const names = { host: element<HTMLInputElement>("host-name"), guest: element<HTMLInputElement>("guest-name") };
const carrier = new URLSearchParams(location.search).get("carrier");

let state: TorqueChat["state"] = "closed";
let socket: TorqueSocket | undefined;
let connection: TorqueConnection | undefined;
let conversation: Conversation | undefined;
let request: ConnectRequest | undefined;
let lines: Line[] = [];
let reason = "";
let path: TorqueChat["path"] = "";
let marks: { line: Line; said: number; mark: HTMLElement }[] = [];

const links = new LinkSliders((link) => socket?.setSimulatedLink(link));
/** The host's address, if this page was opened by a link. */
const invitation = () => decodeURIComponent(location.hash.slice(1));

function show(now: TorqueChat["state"], text: string): void {
  state = now;
  setText(element("status"), text);
  element("status").dataset.state = now === "talking" ? "playing" : now === "closed" ? "ended" : "waiting";
  const isGuest = invitation() !== "";
  element("host").hidden = isGuest || now === "talking" || now === "asked";
  element("guest").hidden = !isGuest || now === "talking";
  element("request").hidden = now !== "asked";
  element("room").hidden = now !== "talking";
  element("host-form").hidden = socket !== undefined;
  element("share").hidden = socket === undefined;
  element<HTMLButtonElement>("ask").disabled = now === "asking";
}

async function newSocket(acceptIncoming: boolean, introductions: boolean): Promise<TorqueSocket> {
  const made = new TorqueSocket({
    applicationId: APPLICATION,
    acceptIncoming,
    introductions,
    simulatedLink: links.link,
    trustedGateways: acceptIncoming ? await gatewayKeys() : [],
    ...(carrier === "webtransport" || carrier === "websocket" ? { carriers: [carrier] } : {}),
  });
  await made.bind();
  log.add([{ b: CARRIERS[made.carrier] ?? made.carrier }, ` to the gateway: this page is ${made.address}, key ${short(made.publicKey)}`], "event");
  return made;
}

/** The key of the gateway that serves this page: its word on origins counts. */
async function gatewayKeys(): Promise<string[]> {
  const answer = await fetch("/.well-known/torque-gateway", { cache: "no-store" });
  const { public_key: key } = (await answer.json()) as { public_key?: unknown };
  return typeof key === "string" ? [key] : [];
}

/** Opens a room, and shows those who ask, one after the other. */
async function openRoom(): Promise<void> {
  log.restart();
  show("waiting", "Opening");
  const { lobby } = await places();
  const mine = (socket = await newSocket(!lobby, lobby !== undefined));
  const name = roomName();
  const atLobby = lobby ? await hostRoom(mine, lobby, name, { asked, missed }) : undefined;
  const link = new URL(location.href);
  link.hash = atLobby ? roomText({ name, key: mine.publicKey }) : mine.url;
  element<HTMLInputElement>("link").value = link.href;
  show("waiting", "Waiting for somebody");
  void mine.closed.then(({ code, message }) => {
    if (socket === mine) [socket] = [undefined];
    ended(code, "", message);
  });
  if (atLobby) {
    log.add([{ b: "The lobby" }, ` at ${atLobby.peer.address} knows this room as ${name}`], "event");
    void atLobby.closed.then(({ code }) => log.add([{ b: "The lobby has gone" }, `: ${code}. Nobody else finds this room`], "event"));
    return;
  }
  for await (const next of mine.requests()) asked(next);
}

function asked(next: ConnectRequest): void {
  if (request || connection) next.refuse("somebody is here already");
  else ask(next);
}

/** Somebody asked the lobby, and the two pages did not meet. */
function missed(error: unknown): void {
  log.add(["Somebody asked for this room and was not heard again: ", { b: error instanceof TorqueError ? error.code : String(error) }], "event");
}

/** Shows a request, to be answered by the person at this page. */
function ask(next: ConnectRequest): void {
  request = next;
  const name = textOf(next.connectData) || "Somebody";
  log.add([{ b: name }, ` asks to be let in, key ${short(next.peer.publicKey)}`], "event");
  setText(element("request-title"), `${name} asks to be let in`);
  const from = next.peer.address === "relayed" ? "Introduced by the lobby, by which it comes" : `From ${next.peer.address}`;
  setText(element("request-from"), `${from}${next.peer.origin ? `, a page of ${next.peer.origin}` : ""}, with the key`);
  setText(element("request-key"), next.peer.publicKey);
  show("asked", "Somebody asks");
  element("accept").focus();
}

async function answer(isWelcome: boolean): Promise<void> {
  const asked = request;
  request = undefined;
  if (!asked) return;
  const name = textOf(asked.connectData) || "Somebody";
  if (!isWelcome) {
    asked.refuse("not now");
    log.add(["Refused ", { b: name }], "event");
    return show("waiting", "Waiting for somebody");
  }
  try {
    talk(await asked.accept(cut(names.host.value.trim(), MAX_NAME).slice()), name);
  } catch (error) {
    failed(error);
  }
}

/** Asks the host of the link. */
async function askHost(): Promise<void> {
  log.restart();
  show("asking", "Asking");
  setText(element("answer"), "Waiting for the other page to answer");
  try {
    const room = readRoom(invitation());
    const lobby = room && (await places()).lobby;
    if (room && !lobby) throw new LobbyError("no_lobby", "The program that serves this page has no lobby");
    const mine = (socket = await newSocket(false, room !== undefined));
    const name = cut(names.guest.value.trim(), MAX_NAME).slice();
    const opened =
      room && lobby
        ? await enterRoom(mine, lobby, room, name, (parts) => log.add(parts, "event"))
        : await mine.connect(invitation(), { connectData: name, trust: "anyone" });
    void opened.closed.then(() => mine.shutdown());
    talk(opened, textOf(opened.acceptData) || "The host");
  } catch (error) {
    void socket?.shutdown();
    socket = undefined;
    failed(error);
  }
}

function talk(opened: TorqueConnection, name: string): void {
  connection = opened;
  [lines, marks] = [[], []];
  element("lines").replaceChildren();
  const now = new Conversation(opened, { told: tell, heard: (text) => void add({ mine: false, text, fate: "delivered", tries: 1 }) });
  conversation = now;
  opened.onpacket = (packet) => now.packet(packet);
  log.add(["Talking with ", { b: name }, `, key ${short(opened.peer.publicKey)}, ${opened.settings.replaceAll(";", ", ")}`], "event");
  setText(element("room-title"), name);
  opened.onpathchanged = (address) => {
    log.add([{ b: "Another path" }, address === "relayed" ? ": relayed by the lobby" : `: direct, to ${address}`], "event");
    void showPath(opened);
  };
  log.add([{ b: opened.peer.address === "relayed" ? "Relayed by the lobby" : "Direct" }, opened.peer.address === "relayed" ? ", which cannot read it" : `, to ${opened.peer.address}`], "event");
  void showPath(opened);
  const looks = setInterval(() => void showPath(opened), 1_000);
  show("talking", `Talking with ${name}`);
  sayText.focus();
  void opened.closed.then(({ code, by, reason }) => {
    now.end();
    clearInterval(looks);
    path = "";
    [connection, conversation] = [undefined, undefined];
    if (by === "application") ended("", "", "You have left");
    else ended(code, textOf(reason), code);
  });
}

/** Shows the way that lines take, and its round trip. */
async function showPath(of: TorqueConnection): Promise<void> {
  const figures = await of.getStats();
  if (connection !== of) return;
  path = of.peer.address === "relayed" ? "relayed" : "direct";
  const way = path === "relayed" ? "Relayed by the lobby" : `Direct, ${of.peer.address}`;
  setText(element("path"), figures?.rttLatest ? `${way}, round trip ${figures.rtt.toFixed(figures.rtt < 10 ? 1 : 0)} ms` : way);
}

function failed(error: unknown): void {
  if (error instanceof TorqueError || error instanceof LobbyError) ended(error.code, textOf(error.reason), error.message);
  else ended("", "", String(error));
}

function ended(code: string, said: string, message: string): void {
  reason = reasonOf(code, said, message).text;
  log.add([{ b: reason }], "event");
  setText(element("answer"), invitation() ? reason : "");
  setText(element("waiting"), `${reason}. Waiting for somebody to ask`);
  const isHosting = socket !== undefined && invitation() === "";
  if (invitation() !== "") socket = undefined;
  show(isHosting ? "waiting" : "closed", isHosting ? "Waiting for somebody" : reason);
}

function add(line: Line): HTMLElement {
  lines.push(line);
  const item = make("li", line.mine ? "mine" : "");
  const mark = make("small", "", "");
  item.append(make("p", "", line.text));
  if (line.mine) item.append(mark);
  const list = element("lines");
  list.append(item);
  list.scrollTop = list.scrollHeight;
  return mark;
}

function say(text: string): void {
  const number = conversation?.say(text);
  if (number === undefined) return;
  const line: Line = { mine: true, text, fate: "under way", tries: 0 };
  marks[number] = { line, said: performance.now(), mark: add(line) };
}

/** A line has come to something. */
function tell(number: number, fate: Fate, tries: number): void {
  const known = marks[number];
  if (!known) return;
  Object.assign(known.line, { fate, tries });
  const after = `${Math.round(performance.now() - known.said)} ms`;
  const again = tries > 1 ? `, sent ${tries} times` : "";
  const texts: Record<Fate, string> = {
    "under way": tries > 1 ? `dropped, goes again (${tries})` : "under way",
    dropped: "dropped",
    delivered: `delivered after ${after}${again}`,
    lost: "the connection ended before a verdict",
  };
  known.mark.dataset.fate = fate;
  setText(known.mark, texts[fate]);
}

element("host-form").addEventListener("submit", (event) => {
  event.preventDefault();
  openRoom().catch((error: unknown) => {
    void socket?.shutdown();
    socket = undefined;
    failed(error);
  });
});
element("guest-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void askHost();
});
element("accept").addEventListener("click", () => void answer(true));
element("refuse").addEventListener("click", () => void answer(false));
element("leave").addEventListener("click", () => {
  connection?.close("the other side has left");
  setText(element("status"), "Leaving");
});
element("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = sayText.value.trim();
  if (text) say(text);
  sayText.value = "";
});
element("copy").addEventListener("click", async () => {
  const field = element<HTMLInputElement>("link");
  field.select();
  await navigator.clipboard.writeText(field.value).catch(() => undefined);
  setText(element("copy"), "Copied");
});
// Another link is another room.
addEventListener("hashchange", () => location.reload());

for (const field of Object.values(names)) field.value = `Guest ${Math.floor(Math.random() * 90) + 10}`;
setText(element("host-key"), /tk1[a-z0-9]+/.exec(invitation())?.[0] ?? "none: the link has no key, so anybody could answer");
window.torqueChat = {
  get state() {
    return state;
  },
  get link() {
    return element<HTMLInputElement>("link").value;
  },
  get lines() {
    return lines;
  },
  get path() {
    return path;
  },
  get reason() {
    return reason;
  },
};
show("closed", "Not connected");
void places().then(({ parrot }) => {
  if (parrot === undefined || invitation() !== "") return;
  element<HTMLAnchorElement>("parrot-link").href = `#${parrot}`;
  element("parrot").hidden = false;
});
