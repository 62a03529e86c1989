/** The way into the arena, step by step, each told. */

import { TorqueSocket, type GatewayCarrier, type TorqueConnection } from "torque-socket";

import { hello, readWelcome, type Welcome } from "./wire.js";

/** What both programs must share. */
const APPLICATION = "torque arena 1";

/** What carries packets, as people call it. */
export const CARRIERS: Record<string, string> = {
  webtransport: "WebTransport",
  websocket: "WebSocket",
  udp: "UDP",
  "direct-sockets": "Direct Sockets",
};

export interface Joined {
  readonly socket: TorqueSocket;
  readonly connection: TorqueConnection;
  readonly rules: Welcome;
  readonly carrier: string;
}

export interface JoinOptions {
  readonly name: string;
  /** The link at the time of joining. */
  readonly link: string;
  /** Only this carrier. */
  readonly carrier: string | undefined;
  readonly signal: AbortSignal;
  readonly tell: (parts: (string | { b: string })[]) => void;
}

/** There is no arena to connect to. */
export class NoArena extends Error {
  readonly reason = new Uint8Array();

  constructor(
    readonly code: "no_server" | "no_arena",
    message: string,
  ) {
    super(message);
  }
}

/** Where the arena is: the program that hosts it writes it beside the pages. Rejects with a {@link NoArena}. */
export async function arenaUrl(signal: AbortSignal): Promise<string> {
  let answer: Response;
  try {
    answer = await fetch("demo.json", { cache: "no-store", signal });
  } catch (error) {
    throw new NoArena("no_server", String(error));
  }
  const { url } = answer.ok ? ((await answer.json()) as { url?: unknown }) : {};
  if (typeof url !== "string") throw new NoArena("no_arena", `demo.json: ${answer.status}`);
  return url;
}

/** Connects and is let in. Rejects with a TorqueError or NoArena; the socket is over then. */
export async function join(options: JoinOptions): Promise<Joined> {
  const { tell, signal } = options;
  const url = await arenaUrl(signal);
  const carriers = options.carrier === undefined ? {} : { carriers: [options.carrier as GatewayCarrier] };
  const socket = new TorqueSocket({
    applicationId: APPLICATION,
    acceptIncoming: false,
    simulatedLink: options.link,
    ...carriers,
  });
  try {
    await socket.bind();
    const carrier = CARRIERS[socket.carrier] ?? socket.carrier;
    tell([{ b: carrier }, ` to the gateway: this page is ${socket.address}, key ${short(socket.publicKey)}`]);
    const connection = await socket.connect(url, { connectData: hello(options.name), signal });
    await tellHandshake(connection, tell);
    return { socket, connection, rules: readWelcome(connection.acceptData), carrier };
  } catch (error) {
    void socket.shutdown();
    throw error;
  }
}

async function tellHandshake(connection: TorqueConnection, tell: JoinOptions["tell"]): Promise<void> {
  const stats = await connection.getStats();
  const { publicKey, address } = connection.peer;
  tell(["Host ", { b: short(publicKey) }, ` at ${address}: the key that the address asks for`]);
  if (!stats) return;
  const { challengeTime, difficulty, puzzleTries, puzzleTime, totalTime, restarts } = stats.handshake;
  tell([`Challenged after ${milliseconds(challengeTime)}, puzzle of ${difficulty} bits: ${puzzleTries} tries in ${milliseconds(puzzleTime)}`]);
  if (restarts > 0) tell([`The host had it begin again ${restarts} times`]);
  tell([{ b: `Established after ${milliseconds(totalTime)}` }, `, ${stats.cipher}, ${connection.settings.replaceAll(";", ", ")}`]);
}

/** The beginning and end of a key, to compare by eye. */
export function short(key: string): string {
  return key.length > 20 ? `${key.slice(0, 11)}…${key.slice(-5)}` : key;
}

function milliseconds(time: number): string {
  return time < 10 ? `${time.toFixed(1)} ms` : `${Math.round(time)} ms`;
}
