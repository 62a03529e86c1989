import type { Data } from "./data.js";
import type { EngineOptions } from "./engine/messages.js";
import { TorqueError } from "./error.js";
import type { IntroductionOptions } from "./introductions.js";
import type { KeyPair } from "./key_pair.js";
import type { Trust } from "./trust.js";

/** How a simulated link treats every datagram, in each direction. */
export interface SimulatedLink {
  /** Milliseconds that every datagram takes. */
  delay?: number;
  /** Milliseconds that some take longer, drawn evenly from 0 to this. */
  jitter?: number;
  /** Probability of loss, 0 to 1. */
  loss?: number;
  /** Probability that a datagram is overtaken by later ones. */
  reorder?: number;
  /** Probability that a datagram arrives twice. */
  duplicate?: number;
}

/** The carriers of a page, in `spec/GATEWAY.md`. */
export type GatewayCarrier = "webtransport" | "websocket";

/** Options of a socket. All of them may be left out. */
export interface SocketOptions {
  /**
   * Where the socket is. In a page the URL of a gateway, `https://gateway.example:4433`, or `http://localhost:4433` in
   * development; without it, the origin that the page came from. In Node a local address, `0.0.0.0:28000` or `[::]:28000`;
   * without it, any port; all of these are every address of the machine, of IPv4 and IPv6. In an Isolated Web App,
   * `udp:0.0.0.0:28000`. Of several places the first that works: gateways, for example, one of which may be going away.
   */
  bind?: string | string[];
  /** Whether the protocol runs in a worker. Default: in pages, where hidden tabs slow their timers down; not in Node. */
  worker?: boolean;
  /**
   * Which carriers to a gateway to try, in this order, each 300 ms after the one before or when that has failed: the first that comes
   * through counts. Default: WebTransport, then WebSocket; for five minutes the other way round when WebSocket came first.
   */
  carriers?: GatewayCarrier[];
  /** SHA-256 of gateway certificates to accept, in base64. Default: what a gateway that signs its own certificates reports. */
  serverCertificateHashes?: string[];
  /** The socket's identity, or its secret text, `ts1…`. Default: a fresh one. */
  keyPair?: KeyPair | string;
  /** At most 32 bytes of text that both programs must share. */
  applicationId?: string;
  /** Preferred settings for every connection: `window=128;tag=8;ack_delay=50;max_packet=1150`. */
  settings?: string;
  /** Ciphers to offer and allow, the best first. Default: ChaCha20-Poly1305 first, which is fast without AES hardware. */
  ciphers?: ("chacha20-poly1305" | "aes128-gcm-sst" | "aes128-gcm")[];
  /**
   * Whether others may connect to this socket. Default: while the program takes requests, by `requests` or `on_connect_request`;
   * others are refused. With `true` requests wait for `requests`, up to two minutes. With `false` nobody hears anything.
   */
  acceptIncoming?: boolean;
  /**
   * Says that no other socket has the identity `keyPair` (default false). A host that was restarted then tells those whose
   * connections it has lost: they end at once, with `host_restarted`. (spec/PATHS.md 8)
   */
  soleIdentity?: boolean;
  /**
   * Whether the socket can introduce, and be introduced: `true`, or figures for it. In a page this loads another module of the protocol,
   * which is 68 kB larger; without it those calls fail with `no_introductions`. In Node it is always there. To introduce others,
   * `{ introduces: true }`.
   */
  introductions?: boolean | IntroductionOptions;
  /** Data that this host shows everyone who asks, at most 511 bytes; signed and public. */
  challengeResponse?: Data;
  /** Keys of gateways whose attested origins are believed. */
  trustedGateways?: string[];
  /** Origins whose pages may connect; with at least one, others are refused. */
  allowedOrigins?: string[];
  /** Whether programs without an origin may connect although origins are listed. */
  allowNative?: boolean;
  /** Milliseconds of silence before a ping (default 5,000; 1,500 while a sent packet has no verdict), and how many may stay unanswered (default 5). */
  pingInterval?: number;
  busyPingInterval?: number;
  pingLimit?: number;
  /** The longest that `shutdown` waits for the last verdicts, in milliseconds (default 3,000). */
  closeWait?: number;
  /** Bits of client puzzle: asked by this host at least (4) and at most (20); solved by this initiator at most (22). */
  difficulty?: { min?: number; max?: number; limit?: number };
  /**
   * Passes every datagram through a simulated link, to feel a bad network: `{ delay: 40, loss: 0.05 }`, `delay=40,jitter=10,loss=5%`, or a
   * preset (`perfect`, `home`, `mobile`, `terrible`) and changes to it: `mobile,loss=10%`.
   */
  simulatedLink?: SimulatedLink | string;
}

/** How to connect. */
export interface ConnectOptions {
  /**
   * Data for the host's application, at most 1,000 bytes; encrypted for the host. Through a gateway the page's origin is
   * attested in the same message, which takes up to 128 of these bytes and the length of the origin.
   */
  connectData?: Data;
  /** Preferred settings for this connection. */
  settings?: string;
  /** Which host to believe. There is no default; a key in the URL is enough. With both, both have to agree. */
  trust?: Trust;
  /** Gives the attempt up, or closes the connection. */
  signal?: AbortSignal;
}

/** How a connection that has ended is followed by another one. */
export interface ReconnectPolicy {
  /**
   * Milliseconds before the first attempt (default 500). It is doubled for each further one, up to `maxDelay` (default 30,000);
   * the wait is random, between half of that and all of it, so that clients who lost the same host do not come back at once.
   */
  firstDelay?: number;
  maxDelay?: number;
  /** How many attempts are made after a connection has ended (default: any number). */
  attempts?: number;
}

/** How to connect from a socket that is made for this connection. */
export interface ReconnectOptions {
  /**
   * Makes another connection, {@link TorqueConnection.successor}, when this one ends for a reason that may pass: the host or the
   * gateway is restarted, the network is gone for a while. Not if either application closes it, the host refuses, or it has
   * another key than expected. Default: no. Give a `keyPair` if the host is to know this program again.
   */
  reconnect?: boolean | ReconnectPolicy;
}

/** A simulated link as the core takes it: a preset, by its place, and changes to it; not a number where there are none. */
export type LinkSetting = Required<SimulatedLink> & { preset: number };

/** The options as a socket keeps them. @internal */
export interface OwnOptions extends SocketOptions {
  challengeResponse?: Uint8Array;
  simulatedLink?: LinkSetting;
}

/** How long to remember that WebTransport was blocked: milliseconds. */
const MEMORY = 300_000;

/** Until this time WebSocket is tried first: a network that blocks UDP blocks it to every gateway. */
let webSocketUntil = 0;

/** Remembers which carrier came first. @internal */
export function noteCarrier(options: SocketOptions, carrier: string): void {
  if (options.carriers || typeof WebTransport === "undefined") return;
  // While WebSocket is tried first, that it comes first says nothing of UDP.
  if (carrier === "websocket" && performance.now() >= webSocketUntil) webSocketUntil = performance.now() + MEMORY;
  if (carrier === "webtransport") webSocketUntil = 0;
}

function usualCarriers(): GatewayCarrier[] | undefined {
  return performance.now() < webSocketUntil ? ["websocket", "webtransport"] : undefined;
}

/** Picks the options that the engine needs, in a form that can be sent to a worker. @internal */
export function engineOptions(options: OwnOptions): EngineOptions {
  const { carriers, serverCertificateHashes, closeWait = 3_000, challengeResponse, simulatedLink } = options;
  const origin = typeof location !== "undefined" && /^https?:$/.test(location.protocol) ? location.origin : "";
  const core = coreOptions(options);
  const places = [options.bind ?? ""].flat();
  const bind = places.length > 0 ? places : [""];
  const isHost = options.acceptIncoming ?? true;
  return { core, bind, origin, isHost, closeWait, carriers: carriers ?? usualCarriers(), serverCertificateHashes, challengeResponse, simulatedLink };
}

/** Writes the options as the core reads them, a line each. @internal */
export function coreOptions(options: SocketOptions): string {
  const { difficulty, keyPair } = options;
  const lines: [string, string | number | boolean | undefined][] = [
    ["application_id", options.applicationId],
    ["key_pair", typeof keyPair === "object" ? keyPair.toSecretText() : keyPair],
    ["settings", options.settings],
    ["ciphers", (options.ciphers ?? ["chacha20-poly1305", "aes128-gcm-sst", "aes128-gcm"]).join(",")],
    ["accept_incoming", options.acceptIncoming],
    ["sole_identity", options.soleIdentity],
    ["allow_native", options.allowNative],
    ["ping_interval", options.pingInterval],
    ["busy_ping_interval", options.busyPingInterval],
    ["ping_limit", options.pingLimit],
    ["close_wait", options.closeWait],
    ["difficulty_min", difficulty?.min],
    ["difficulty_max", difficulty?.max],
    ["difficulty_limit", difficulty?.limit],
  ];
  for (const key of options.trustedGateways ?? []) lines.push(["trusted_gateway", key]);
  for (const origin of options.allowedOrigins ?? []) lines.push(["allowed_origin", origin]);
  const { introductions } = options;
  if (typeof introductions === "object") {
    const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    for (const [name, value] of Object.entries(introductions)) lines.push([`introduction.${snake(name)}`, value as string | number | boolean]);
  }
  const given = lines.filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    if (/[\r\n]/.test(String(value))) throw new TorqueError("invalid_argument", `${name} has a line break in it`);
  }
  return given.map(([name, value]) => `${name}=${value}`).join("\n");
}

/** The core's presets, in its order. */
const PRESETS = ["perfect", "home", "mobile", "terrible"];

/** Reads `delay=40,jitter=10,loss=5%`, or a preset and changes to it. Times are in milliseconds. @internal */
export function linkOf(link: SimulatedLink | string): LinkSetting {
  const same = { delay: NaN, jitter: NaN, loss: NaN, reorder: NaN, duplicate: NaN };
  if (typeof link !== "string") return { preset: 0, ...same, ...link };
  const parts = link.split(",").map((part) => part.trim()).filter(Boolean);
  const preset = PRESETS.indexOf(parts[0] ?? "");
  if (preset >= 0) parts.shift();
  for (const part of parts) {
    const [key = "", text = ""] = part.split("=");
    if (!(key in same) || !/^\d+(\.\d+)?(%|ms)?$/.test(text)) {
      const choices = `there are delay, jitter, loss, reorder, duplicate, and before them ${PRESETS.join(", ")}`;
      throw new TorqueError("invalid_argument", `simulated link: \`${part}\`: ${choices}`);
    }
    same[key as keyof typeof same] = text.endsWith("%") ? parseFloat(text) / 100 : parseFloat(text);
  }
  return { preset: Math.max(preset, 0), ...same };
}
