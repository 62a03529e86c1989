/**
 * The names of "The TorqueSocket API" (2010), for programs that follow it: numbers for connections, attributes for events.
 *
 * @packageDocumentation
 */

import { Client, NOBODY_TAKES_REQUESTS, type SocketEnd, type SocketEvent } from "./client.js";
import type { ClientConnection, ConnectionEvent } from "./client_connection.js";
import { copyOf, type Data } from "./data.js";
import type { ClosedBy, ConnectionFigures } from "./engine/messages.js";
import { type ErrorCode, guarded, TorqueError } from "./error.js";
import { beginIntroduced, introduce, type IntroducedPaths, type IntroduceOptions, type IntroductionOutcome, refuseIntroduction } from "./introductions.js";
import type { Verdict } from "./ledger.js";
import type { SimulatedLink, SocketOptions } from "./options.js";
import { keyIn } from "./target.js";

export type { CloseCode } from "./codes.js";
export type { SocketEnd } from "./client.js";
export type { Data } from "./data.js";
export type { ClosedBy, ConnectionFigures } from "./engine/messages.js";
export { type CallCode, type CarrierCode, type ErrorCode, TorqueError } from "./error.js";
export type { IntroducedPaths, IntroduceOptions, IntroductionOptions, IntroductionOutcome, IntroductionResult, Relay } from "./introductions.js";
export type { GatewayCarrier, SimulatedLink, SocketOptions } from "./options.js";

/**
 * A socket with the names of the 2010 draft.
 *
 * ```ts
 * const socket = new DraftSocket();
 * socket.on_established = (id) => socket.send_to(id, "hello");
 * socket.on_packet_delivery_notify = (id, packet, delivered) => console.log(packet, delivered);
 * socket.connect("torque://tk1…@game.example");
 * ```
 *
 * Events have the draft's arguments in its order, and after them an object with the rest.
 */
export class DraftSocket {
  /** A host has shown its key and data: answer with `accept_challenge` or `close`. Not called for a key that the URL names. */
  on_challenge_response:
    | ((connection: number, public_key: string, challenge_response: Uint8Array, more: {
        difficulty: number;
        cipher: string;
        /** What the host gave for this introduction; the introducer could have made it up. */
        introduced_data: Uint8Array;
        /** The connection with the introducer, of one that is introduced. */
        introduced_by: number | undefined;
      }) => void)
    | null = null;
  /**
   * Somebody wants to connect: answer with `accept_connection`, `close` or `ignore_connection`, then or later. Requests are refused
   * while this is not set, and if it throws before it has answered.
   */
  on_connect_request:
    | ((connection: number, public_key: string, connect_data: Uint8Array, more: {
        remote: string;
        origin: string | undefined;
        /** The connection with the introducer, of one that is introduced. */
        introduced_by: number | undefined;
      }) => void)
    | null = null;
  /** Packets may be sent from now on. */
  on_established:
    | ((connection: number, more: {
        remote: string;
        public_key: string;
        accept_data: Uint8Array;
        settings: string;
        replaces: number;
        /** The connection with the introducer, of one that was introduced. */
        introduced_by: number | undefined;
        /** What an introducer tells the party that is to meet the other side of this connection, as `remote_client_connection_id`. */
        number: number;
      }) => void)
    | null = null;
  /** The connection has ended: once for each, as its last event. */
  on_close: ((connection: number, reason: Uint8Array, more: { code: ErrorCode; by: ClosedBy }) => void) | null = null;
  /** A packet of the other application. `packet_sequence` rises; the numbers missing in between were dropped. */
  on_packet: ((connection: number, packet_sequence: number, packet_data: Uint8Array) => void) | null = null;
  /** The verdict on a packet, by the number that `send_to` gave it: once for each, in the order of sending. */
  on_packet_delivery_notify:
    | ((connection: number, packet: number, delivery_successful: boolean, more: { unknown: boolean }) => void)
    | null = null;
  /** The connection takes another path, because a side has moved. `remote` is where the other side is now, or `relayed`. */
  on_path_changed: ((connection: number, more: { remote: string }) => void) | null = null;
  /**
   * At an introducer: `from` asks to be introduced to `to`, and nobody has called `introduce` for the pair. Answer with `introduce`, or with
   * `refuse_introduction`.
   */
  on_introduction_requested: ((from: number, to: number, more: { from_is_host: boolean }) => void) | null = null;
  /** At an introducer: what became of an introduction. Once for each, and once more if a relayed connection became direct. */
  on_introduced: ((introduction: string, more: Omit<IntroductionOutcome<number>, "introduction" | "neverAsked"> & { never_asked: IntroductionOutcome<number>["neverAsked"] }) => void) | null = null;
  /** The socket's gateway goes away in this many milliseconds; see `TorqueSocket.ondraining`. */
  on_draining: ((milliseconds: number) => void) | null = null;
  /** A datagram outside any connection (Node only). Its source may be forged: never answer it with more bytes than it has. */
  on_info_packet: ((remote: string, data: Uint8Array) => void) | null = null;

  readonly #client: Client;
  /** The connections with introducers, by the connections that they have made, or are to make. */
  readonly #introducers = new WeakMap<ClientConnection, number>();

  /** A socket. It is bound, as `options.bind` says, by the first call that needs it, or by {@link DraftSocket.bind}. */
  constructor(options: SocketOptions = {}) {
    this.#client = new Client(options, (event) => this.#handle(event));
  }

  /** Resolves when the socket is over. Every connection has ended before. */
  get closed(): Promise<SocketEnd> {
    return this.#client.closed;
  }

  /** The socket's address as others see it, when bound. */
  get address(): string {
    return this.#client.address;
  }

  /** Where others connect to, when bound: `torque://tk1…@203.0.113.5:28000`. */
  get url(): string {
    return this.#client.url;
  }

  /** The socket's public key, when bound. */
  get public_key(): string {
    return this.#client.publicKey;
  }

  /** Binds the socket; see {@link SocketOptions.bind}. Once: another place is another socket. */
  bind(address?: string): Promise<void> {
    return this.#client.bind(address);
  }

  /** Sets the key pair, `ts1…`; only while there are no connections. */
  set_key_pair(secret_text: string): Promise<void> {
    return this.#client.setKeyPair(secret_text);
  }

  /** Sets what this host shows everyone who asks, at most 511 bytes; signed and public. */
  set_challenge_response(challenge_response: Data): Promise<void> {
    return this.#client.setChallengeResponse(challenge_response);
  }

  /**
   * Begins to connect and returns the connection's number. What follows are events: `on_challenge_response` first, unless the
   * URL names the host's key. Throws a {@link TorqueError} if neither is there to say which host to trust.
   */
  connect(url: string, connect_data?: Data, protocol_settings = ""): number {
    if (!keyIn(`${url}`) && !this.on_challenge_response) {
      throw new TorqueError(
        "no_trust",
        "nothing says which host to trust: set on_challenge_response, which answers with accept_challenge or close, or put the " +
          "host's key in the URL (torque://tk1…@host)",
      );
    }
    const attempt = { url: `${url}`, data: copyOf(connect_data), settings: protocol_settings, trust: "ask" } as const;
    return this.#add(this.#client.connect(attempt));
  }

  /**
   * Asks the other side of a connection, the introducer, for a connection with another socket that is connected to it:
   * `remote_client_connection_id` is the `number` of that connection there (see `on_established`). Returns the number of the connection to come.
   * What follows are events, as after `connect`; a host is asked by `on_connect_request`. The data is connect_data of the initiator, or
   * introduced_data of the host. `close` withdraws. Throws a {@link TorqueError}: `closed`, `no_trust`, `no_introductions`, `too_large`.
   */
  connect_introduced(
    introducer: number,
    remote_client_connection_id: number,
    is_host: boolean,
    connect_data_or_challenge_response?: Data,
    protocol_settings = "",
    more: IntroducedPaths = {},
  ): number {
    if (!is_host && !this.on_challenge_response) {
      throw new TorqueError("no_trust", "nothing says which host to trust: set on_challenge_response, which answers with accept_challenge or close");
    }
    const judgement = { trust: "ask", pin: "" } as const;
    const how = is_host ? { ...more, isHost: true as const } : { ...more, settings: protocol_settings, judgement };
    const data = copyOf(connect_data_or_challenge_response);
    const connection = beginIntroduced(this.#client, this.#client.connection(introducer), remote_client_connection_id, how, data);
    this.#introducers.set(connection, introducer);
    return this.#add(connection);
  }

  /**
   * Introduces two sockets that are connected to this one, and resolves with the introduction's id; `on_introduced` tells what became of it.
   * Needs the option `introductions: { introduces: true }`.
   */
  async introduce(initiator_connection: number, host_connection: number, more: IntroduceOptions = {}): Promise<string> {
    const [initiator, host] = [initiator_connection, host_connection].map((id) => this.#client.connection(id));
    return introduce(this.#client, initiator, host, more);
  }

  /** Says no to what `on_introduction_requested` asks. */
  async refuse_introduction(from: number, to: number): Promise<void> {
    return refuseIntroduction(this.#client, this.#client.connection(from), this.#client.connection(to));
  }

  /** Accepts, once, the key and data that `on_challenge_response` showed. Throws a {@link TorqueError}, `not_waiting`, if no host waits for this. */
  accept_challenge(pending_connection: number): void {
    this.#connection(pending_connection).acceptChallenge();
  }

  /** Accepts the request that `on_connect_request` reported. */
  accept_connection(pending_connection: number, accept_data?: Data): void {
    this.#connection(pending_connection).acceptConnection(accept_data);
  }

  /** Drops the request that `on_connect_request` reported. The other side is told nothing, and gives up by itself. */
  ignore_connection(pending_connection: number): void {
    this.#connection(pending_connection).ignore();
  }

  /** Closes or refuses a connection, or gives it up. */
  close(connection: number, reason?: Data): void {
    const known = this.#client.connection(connection);
    if (known?.isAsked) known.refuse(reason);
    else known?.close(reason);
  }

  /**
   * Sends a packet and returns its number: packets are counted for each connection, from 1. Throws a {@link TorqueError} if
   * nothing was sent: `window_full`, `too_large`, `not_established`, `closed`.
   */
  send_to(connection: number, packet_data: Data): number {
    return this.#connection(connection).send(copyOf(packet_data), (verdict, packet) => this.#judged(connection, packet, verdict));
  }

  /** Sends a datagram outside any connection to `torque://host:port` (Node only); its first byte is 0x20 to 0x7f. */
  send_info(url: string, data: Data): Promise<void> {
    return this.#client.sendInfo(url, data);
  }

  /** Makes every datagram pass a simulated link from now on: `delay=40,jitter=10,loss=5%`, or a preset such as `mobile` or `perfect`. */
  set_simulated_link(link: SimulatedLink | string): void {
    this.#client.setSimulatedLink(link);
  }

  /** Counters of the socket, as in spec/API.md 4. Binds the socket. */
  get_stats(): Promise<Record<string, number>> {
    return this.#client.stats();
  }

  /** Figures of a connection; `undefined` when it is not established. */
  get_connection_stats(connection: number): Promise<ConnectionFigures | undefined> {
    return this.#client.connectionStats(connection);
  }

  /** Closes all connections, waits for their last verdicts, and lets go of everything. */
  shutdown(): Promise<void> {
    return this.#client.shutdown();
  }

  #connection(id: number): ClientConnection {
    const connection = this.#client.connection(id);
    if (!connection) throw new TorqueError("closed", `connection ${id} has ended, or never was`);
    return connection;
  }

  #add(connection: ClientConnection): number {
    connection.listener = (event) => guarded(() => this.#tell(connection, event));
    return connection.id;
  }

  #judged(id: number, packet: number, verdict: Verdict): void {
    guarded(() => this.on_packet_delivery_notify?.(id, packet, verdict === "delivered", { unknown: verdict === "unknown" }));
  }

  #handle(event: SocketEvent): void {
    guarded(() => {
      switch (event.kind) {
        case "request": {
          this.#add(event.connection);
          return this.#requested(event.connection, event);
        }
        case "introduction_requested":
          return this.on_introduction_requested?.(event.from.id, event.to.id, { from_is_host: event.fromIsHost });
        case "introduced": {
          const { introduction, result, code, neverAsked: never_asked, took } = event;
          return this.on_introduced?.(introduction, { initiator: event.initiator.id, host: event.host.id, result, code, never_asked, took });
        }
        case "draining":
          return this.on_draining?.(event.time);
        case "info":
          return this.on_info_packet?.(event.remote, event.data);
      }
    });
  }

  /** Asks the application about a request. */
  #requested(connection: ClientConnection, event: { publicKey: string; data: Uint8Array; remote: string; origin: string }): void {
    if (!this.on_connect_request) return connection.refuse(NOBODY_TAKES_REQUESTS);
    const { publicKey, data, remote, origin } = event;
    try {
      this.on_connect_request(connection.id, publicKey, data, {
        remote,
        origin: origin || undefined,
        introduced_by: this.#introducers.get(connection),
      });
    } catch (error) {
      // Nobody else is there to answer.
      if (connection.isAsked) connection.refuse("the host failed to answer");
      throw error;
    }
  }

  #tell(connection: ClientConnection, event: ConnectionEvent): void {
    const { id } = connection;
    const introduced_by = this.#introducers.get(connection);
    switch (event.kind) {
      case "challenge": {
        const { publicKey, data, difficulty, cipher, introducedData: introduced_data } = event;
        return this.on_challenge_response?.(id, publicKey, data, { difficulty, cipher, introduced_data, introduced_by });
      }
      case "request":
        return this.#requested(connection, event);
      case "established": {
        const { remote, publicKey: public_key, data: accept_data, settings, replaces, number } = event;
        return this.on_established?.(id, { remote, public_key, accept_data, settings, replaces, introduced_by, number });
      }
      case "packet":
        connection.taken(1);
        return this.on_packet?.(id, event.sequence, event.data);
      case "path":
        return this.on_path_changed?.(id, { remote: event.remote });
      case "close":
        return this.on_close?.(id, event.reason, { code: event.code, by: event.by });
    }
  }
}
