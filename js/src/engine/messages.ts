/**
 * Messages between the page's side of a socket and the engine, which may run in a worker.
 *
 * Both call a connection by the same number: the page gives odd ones, so that `connect` can return at once, and the engine
 * gives even ones.
 */

import type { ErrorCode } from "../error.js";
import type { Relay } from "../introductions.js";
import type { CoreEvent } from "./events.js";
import type { ConnectionFigures } from "./figures.js";
import type { GatewayCarrier, LinkSetting } from "../options.js";

/** The part of a socket's options that the engine needs. */
export interface EngineOptions {
  /** Those of the core, as it takes them. */
  core: string;
  /** Places to bind the socket to: the first one that works counts. */
  bind: string[];
  /** The origin of the page; empty elsewhere. */
  origin: string;
  /** Whether others may connect to the socket. */
  isHost: boolean;
  closeWait: number;
  carriers: GatewayCarrier[] | undefined;
  serverCertificateHashes: string[] | undefined;
  challengeResponse: Uint8Array | undefined;
  simulatedLink: LinkSetting | undefined;
}

/** Whether the application is asked about a host's key: about one that the URL does not name, never, or about every one. */
export type AttemptTrust = "ask" | "anyone" | "ask_always";

/** How a connection begins that an introducer makes: `introducer` is its connection here, `remote` the introducer's number of the other party. @internal */
export interface IntroducedAttempt {
  introducer: number;
  remote: number;
  isHost: boolean;
  /** Circuits: 0 never, 1 as a fallback, 2 at once. */
  relay: number;
  direct: boolean;
  settings: string;
  /** Of the initiator. */
  trust: AttemptTrust;
  /** The only key of the other party to take; else empty. */
  pin: string;
  /** connect_data of the initiator, introduced_data of the host. */
  data: Uint8Array;
}

/** From the page to the engine. @internal */
export type Command =
  | { kind: "begin"; options: EngineOptions; module: WebAssembly.Module }
  | { kind: "connect"; id: number; url: string; data: Uint8Array; settings: string; trust: AttemptTrust }
  | ({ kind: "connect_introduced"; id: number } & IntroducedAttempt)
  | { kind: "introduce"; initiator: number; host: number; relay: Relay | undefined; request: number }
  | { kind: "refuse_introduction"; from: number; to: number; request: number }
  | { kind: "accept_challenge"; id: number; publicKey: string }
  | { kind: "accept_connection"; id: number; data: Uint8Array }
  | { kind: "refuse"; id: number; reason: Uint8Array }
  | { kind: "ignore"; id: number }
  | { kind: "close"; id: number; reason: Uint8Array }
  /** `packet` is the page's number for it. */
  | { kind: "send"; id: number; packet: number; data: Uint8Array }
  | { kind: "send_info"; remote: string; data: Uint8Array; request: number }
  | { kind: "taken"; id: number; packets: number }
  | { kind: "set_key_pair"; text: string; request: number }
  | { kind: "set_challenge_response"; data: Uint8Array; request: number }
  | { kind: "set_simulated_link"; link: LinkSetting }
  | { kind: "stats"; request: number }
  | { kind: "connection_stats"; id: number; request: number }
  | { kind: "shutdown" }
  /** The page goes away: close everything now, and wait for nothing. */
  | { kind: "leave" };

/** From the engine to the page. @internal */
export type Notice =
  | { kind: "bound"; address: string; publicKey: string; carrier: string; gatewayKey: string }
  /** The core's events, with the page's number of the connection. */
  | Exclude<CoreEvent, { kind: "close" }>
  | { kind: "close"; id: number; code: ErrorCode; by: ClosedBy; reason: Uint8Array; message: string }
  /** The core did not take this packet. */
  | { kind: "refused"; id: number; packet: number }
  /** The socket's carrier goes away in `time` milliseconds. */
  | { kind: "draining"; time: number }
  | { kind: "reply"; request: number; value: unknown; error?: { code: ErrorCode; message: string } }
  | { kind: "ended"; code: ErrorCode; message: string };

/** Who ended a connection: this application, the other side, or this socket. */
export type ClosedBy = "application" | "remote" | "socket";

export type { ConnectionFigures };
