/**
 * Rooms of the chat at a lobby: it introduces the page that hosts a room to the page that asks for it (docs/introductions.md, "A lobby for
 * the command line"). The two talk through the lobby until there is a direct path. It cannot read what it passes on.
 */

import type { ConnectRequest, TorqueConnection, TorqueSocket } from "torque-socket";

import { textOf } from "./reasons.js";

/** A room: its name at the lobby, and the key of the page that hosts it. */
export interface Room {
  readonly name: string;
  readonly key: string;
}

/** Something is wrong with the lobby. */
export class LobbyError extends Error {
  readonly reason = new Uint8Array();

  constructor(
    readonly code: "no_lobby" | "not_a_lobby",
    message: string,
  ) {
    super(message);
  }
}

/** What the program that serves this page writes beside the pages. */
export interface Places {
  /** The lobby's URL. */
  readonly lobby: string | undefined;
  /** A program that says what it hears, as {@link roomText} names it. */
  readonly parrot: string | undefined;
}

/** Where the lobby is, if there is one. */
export async function places(): Promise<Places> {
  const answer = await fetch("demo.json", { cache: "no-store" }).catch(() => undefined);
  const told = answer?.ok ? ((await answer.json()) as Record<string, unknown>) : {};
  const text = (name: string) => (typeof told[name] === "string" ? told[name] : undefined);
  return { lobby: text("lobby"), parrot: text("parrot") };
}

/** A name that nobody else has thought of. */
export function roomName(): string {
  return [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A room as text for links: `tk1…@name`. */
export function roomText({ name, key }: Room): string {
  return `${key}@${name}`;
}

/** The room that such a text names; `undefined` if it is none. */
export function readRoom(text: string): Room | undefined {
  const [, key, name] = /^(tk1[a-z0-9]+)@([a-z0-9._-]{1,64})$/.exec(text) ?? [];
  return key && name ? { key, name } : undefined;
}

/** What happens to the host of a room. */
export interface RoomEvents {
  /** Somebody asks to be let in, and was introduced. */
  asked(request: ConnectRequest): void;
  /** Somebody asked the lobby, and nothing came of it. */
  missed(error: unknown): void;
}

/** Hosts a room. Resolves with the connection with the lobby, which keeps the room open. */
export async function hostRoom(socket: TorqueSocket, lobby: string, name: string, events: RoomEvents): Promise<TorqueConnection> {
  const connection = await socket.connect(lobby, { connectData: `torque lobby 1 host ${name}` });
  if (textOf(connection.acceptData) !== "torque lobby 1") throw new LobbyError("not_a_lobby", "What should be the lobby is none");
  await new Promise<void>((resolve, reject) => {
    void connection.closed.then(({ code }) => reject(new LobbyError("no_lobby", `The lobby has gone: ${code}`)));
    connection.onpacket = (packet) => {
      const [word, number] = textOf(packet).split(" ");
      if (word === "registered") resolve();
      if (word === "asked") {
        socket.connectIntroduced(connection, Number(number), { isHost: true, relay: "at-once" }).then(events.asked, events.missed);
      }
    };
  });
  return connection;
}

/** Asks for a room. Resolves with the connection with its host, once that has let this page in. */
export async function enterRoom(
  socket: TorqueSocket,
  lobby: string,
  room: Room,
  connectData: Uint8Array,
  tell: (parts: (string | { b: string })[]) => void,
): Promise<TorqueConnection> {
  const connection = await socket.connect(lobby, { connectData: `torque lobby 1 ask ${room.name}` });
  const [number, key] = textOf(connection.acceptData).split(" ");
  if (!number || !key) throw new LobbyError("not_a_lobby", "What should be the lobby is none");
  tell([{ b: "The lobby" }, ` at ${connection.peer.address} knows the room, and introduces the two pages`]);
  // The lobby's word is not enough: the link holds the host's key.
  return socket.connectIntroduced(connection, Number(number), { trust: room.key, connectData, relay: "at-once" });
}
