import type { Carrier } from "../carriers/carrier.js";
import { type CloseCode, CLOSE_MEANINGS } from "../codes.js";
import { TorqueError } from "../error.js";
import type { SimulatedLink } from "../options.js";
import { Core } from "./core.js";
import { figuresOf } from "./figures.js";
import type { ClosedBy, Command, Delivery, EngineOptions, Notice } from "./messages.js";
import { openCarrier } from "./open_carrier.js";
import { Scheduler } from "./scheduler.js";

/** Kinds of the core's events (crates/torque-wasm/src/events.rs). */
const EVENT = { challenge: 1, request: 2, established: 3, close: 4, packet: 5, verdict: 6, info: 7 } as const;
const DELIVERIES: readonly Delivery[] = ["dropped", "delivered", "unknown"];
const CLOSED_BY: readonly ClosedBy[] = ["application", "remote", "socket"];
const NOTHING = new Uint8Array();
/** So long before its carrier is gone a socket closes what is left, so that the others hear of it: milliseconds. */
const LAST_WORDS = 1_000;
/** So much longer than its connections may take a socket may take to end: milliseconds. */
const END_MARGIN = 1_000;

interface Connection {
  readonly id: number;
  /** Where an attempt goes; empty while the name is being resolved, and for those who came. */
  remote: string;
  /** The core's number; 0 while the name is being resolved. */
  core: number;
  trust: "ask" | "anyone";
  /** The key that the last challenge showed. */
  hostKey: string;
  /** For each packet without a verdict, oldest first: whether the core took it. */
  readonly sent: boolean[];
}

/**
 * Drives the core: hands in datagrams, time and commands, and hands out datagrams and notices. Runs in a worker or beside the face.
 *
 * Every entrance ends in {@link Engine.#drain}: transmits, then events, then the deadline. If the core breaks there, the socket
 * is over, and says so.
 */
export class Engine {
  #core!: Core;
  #carrier: Carrier | undefined;
  #scheduler!: Scheduler;
  readonly #connections = new Map<number, Connection>();
  readonly #byCore = new Map<number, Connection>();
  #nextId = 2;
  #notices: Notice[] = [];
  #drainPending = false;
  #closeWait = 0;
  /** Why the socket is about to end, while its connections are closing. */
  #ending: TorqueError | undefined;
  /** Why it will, as its carrier goes away; until then connections go on. */
  #draining: TorqueError | undefined;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  #endTimer: ReturnType<typeof setTimeout> | undefined;
  #over = false;
  /** Stops a carrier that is being opened. */
  readonly #opening = new AbortController();

  /** Notices are given in groups: all that one turn has brought. */
  constructor(private readonly notify: (notices: Notice[]) => void) {}

  /** Does what the face asks for, in order. */
  handle(commands: Command[]): void {
    this.#guard(() => {
      for (const command of commands) {
        if (command.kind === "begin") void this.#begin(command.options, command.module);
        else if (!this.#over) this.#handle(command);
      }
      this.#drain();
    });
  }

  #guard(act: () => void): void {
    try {
      if (!this.#over) act();
    } catch (error) {
      this.#end(asError(error));
    }
  }

  async #begin(options: EngineOptions, module: WebAssembly.Module): Promise<void> {
    try {
      const core = await Core.load(module);
      if (this.#over) return;
      core.begin(options.core, performance.now());
      if (options.simulatedLink) setLink(core, options.simulatedLink);
      if (options.challengeResponse) core.setChallengeResponse(options.challengeResponse);
      this.#core = core;
      this.#closeWait = options.closeWait;
      this.#scheduler = new Scheduler(
        () => core.plain.deadline(),
        (now) =>
          this.#guard(() => {
            core.plain.run(now);
            this.#drain();
          }),
      );
      const listener = {
        datagram: (remote: string, datagram: Uint8Array, local = "") =>
          this.#guard(() => {
            core.receive(performance.now(), remote, local, datagram);
            this.#drainSoon();
          }),
        draining: (time: number) => this.#guard(() => this.#drainAway(time)),
        pageLeaves: () => this.#guard(() => this.#leave()),
        lost: (error: TorqueError) => this.#end(this.#ending ?? error),
      };
      const carrier = await openCarrier(options, listener, this.#opening.signal);
      if (this.#over) return carrier.close();
      this.#carrier = carrier;
      this.#notices.push({
        kind: "bound",
        address: carrier.address,
        publicKey: core.publicKey(),
        carrier: carrier.name,
        gatewayKey: carrier.gatewayKey ? core.publicKeyText(carrier.gatewayKey) : "",
      });
      this.#drain();
    } catch (error) {
      this.#end(asError(error));
    }
  }

  /** Commands but `shutdown` come only after the socket is bound: the face sees to it. */
  #handle(command: Exclude<Command, { kind: "begin" }>): void {
    const now = performance.now();
    switch (command.kind) {
      case "connect":
        void this.#connect(command);
        break;
      case "accept_challenge":
        this.#with(command.id, (connection) => void this.#acceptChallenge(connection));
        break;
      case "accept_connection":
        this.#with(command.id, ({ core }) => this.#core.acceptConnection(now, core, command.data));
        break;
      case "close":
        this.#close(command.id, command.reason);
        break;
      case "send":
        this.#send(now, command.id, command.data);
        break;
      case "taken":
        this.#with(command.id, ({ core }) => this.#core.plain.release_packets(core, command.packets));
        break;
      case "set_simulated_link":
        setLink(this.#core, command.link);
        break;
      case "shutdown":
        this.#shutDown(new TorqueError("closed", "shut down"));
        break;
      case "leave":
        this.#leave();
        break;
      default:
        void this.#answer(command);
    }
  }

  /** Commands that get a reply. */
  async #answer(command: Extract<Command, { request: number }>): Promise<void> {
    const { request } = command;
    try {
      this.#notices.push({ kind: "reply", request, value: await this.#valueOf(command) });
    } catch (error) {
      const { code, message } = asError(error);
      this.#notices.push({ kind: "reply", request, value: undefined, error: { code, message } });
    }
    this.#drainSoon();
  }

  async #valueOf(command: Extract<Command, { request: number }>): Promise<unknown> {
    switch (command.kind) {
      case "stats":
        return JSON.parse(this.#core.stats()) as unknown;
      case "connection_stats": {
        const connection = this.#connections.get(command.id);
        const json = connection?.core ? this.#core.connectionStats(connection.core) : "";
        return json ? figuresOf(json) : undefined;
      }
      case "set_key_pair":
        this.#core.setKeyPair(command.text);
        return this.#core.publicKey();
      case "set_challenge_response":
        return this.#core.setChallengeResponse(command.data);
      case "send_info": {
        const { host, port } = this.#core.parseUrl(command.remote);
        this.#core.sendInfo(await this.#carrier!.resolve(host, port), command.data);
      }
    }
  }

  async #connect(command: Extract<Command, { kind: "connect" }>): Promise<void> {
    const { id, trust } = command;
    const connection: Connection = { id, core: 0, remote: "", trust, hostKey: "", sent: [] };
    this.#connections.set(id, connection);
    try {
      if (this.#ending ?? this.#draining) throw this.#ending ?? this.#draining;
      const { host, port, key } = this.#core.parseUrl(command.url);
      const remote = await this.#carrier!.resolve(host, port);
      if (!this.#connections.has(id)) return;
      connection.remote = remote;
      const token = key ? await this.#originToken(remote, key) : NOTHING;
      if (!this.#connections.has(id)) return;
      // To have an origin token made the host's key must be known first, so the core asks although nobody else does.
      const asks = trust === "ask" || this.#carrier!.attest !== undefined;
      const coreTrust = key || (asks ? "ask" : "anyone");
      const now = performance.now();
      connection.core = this.#core.connect(now, remote, command.settings, coreTrust, command.data, token);
      this.#byCore.set(connection.core, connection);
    } catch (error) {
      if (this.#connections.has(id)) this.#ended(connection, asError(error), "socket");
    }
    this.#guard(() => this.#drain());
  }

  async #acceptChallenge(connection: Connection): Promise<void> {
    // Nothing has been shown yet.
    if (!connection.hostKey) return;
    try {
      const token = await this.#originToken(connection.remote, connection.hostKey);
      this.#core.acceptChallenge(performance.now(), connection.core, token);
    } catch (error) {
      this.#guard(() => this.#failed(connection, error));
    }
    this.#guard(() => this.#drain());
  }

  async #originToken(remote: string, hostKey: string): Promise<Uint8Array> {
    const { attest } = this.#carrier!;
    if (!attest) return NOTHING;
    const keys = [this.#core.publicKey(), hostKey].map((key) => this.#core.publicKeyBytes(key));
    return (await attest.call(this.#carrier, remote, keys[0]!, keys[1]!)) ?? NOTHING;
  }

  #close(id: number, reason: Uint8Array): void {
    const connection = this.#connections.get(id);
    if (!connection) return;
    if (connection.core) this.#with(id, ({ core }) => this.#core.close(performance.now(), core, reason));
    // Its name is still being looked up.
    else this.#ended(connection, new TorqueError("closed", "closed before it began"), "application");
  }

  #send(now: number, id: number, data: Uint8Array): void {
    const connection = this.#connections.get(id);
    // Its close is on its way to the face, which counts what is left without a verdict.
    if (!connection) return;
    let taken = true;
    try {
      this.#core.send(now, connection.core, data);
    } catch {
      taken = false;
    }
    connection.sent.push(taken);
    this.#settleRefused(connection);
  }

  /** Verdicts on packets that the core did not take come in the order of sending as well. */
  #settleRefused(connection: Connection): void {
    while (connection.sent[0] === false) this.#verdict(connection, "dropped");
  }

  #verdict(connection: Connection, delivery: Delivery): void {
    connection.sent.shift();
    this.#notices.push({ kind: "verdict", id: connection.id, delivery });
  }

  #closeAll(now: number): void {
    for (const connection of [...this.#connections.values()]) if (!connection.core) this.#close(connection.id, NOTHING);
    this.#core.plain.close_all(now);
  }

  /** The page goes away: what is still open ends now. */
  #leave(): void {
    const close = () => {
      this.#closeAll(performance.now());
      this.#drain();
    };
    if (this.#carrier?.leave) this.#carrier.leave(close);
    else close();
  }

  #shutDown(why: TorqueError): void {
    if (!this.#carrier) return this.#end(why);
    if (this.#ending) return;
    this.#ending = why;
    this.#closeAll(performance.now());
    this.#endTimer = setTimeout(() => this.#end(why), this.#closeWait + END_MARGIN);
  }

  /** The carrier goes away: connections may go on as long as they can still be closed. */
  #drainAway(time: number): void {
    if (this.#ending || this.#draining) return;
    this.#draining = new TorqueError("gateway_draining", "the gateway is going away: connect from another socket");
    this.#notices.push({ kind: "draining", time });
    // Timers count in 31 bits.
    const left = Math.min(Math.max(time - LAST_WORDS, 0), 2 ** 31 - 1);
    this.#drainTimer = setTimeout(() => this.#guard(() => {
      this.#shutDown(this.#draining!);
      this.#drain();
    }), left);
    this.#drain();
  }

  #with(id: number, act: (connection: Connection) => void): void {
    const connection = this.#connections.get(id);
    if (!connection?.core) return;
    try {
      act(connection);
    } catch (error) {
      this.#failed(connection, error);
    }
  }

  /**
   * Calls that are too late fail without harm: the connection's close tells why. Others end their connection, which would
   * wait for ever.
   */
  #failed(connection: Connection, error: unknown): void {
    if (!(error instanceof TorqueError)) throw error;
    if (error.code === "closed" || error.code === "not_waiting" || !this.#connections.has(connection.id)) return;
    this.#ended(connection, error, "socket");
    try {
      this.#core.close(performance.now(), connection.core, NOTHING);
    } catch {
      // It has ended there as well.
    }
  }

  #drainSoon(): void {
    if (this.#drainPending) return;
    this.#drainPending = true;
    queueMicrotask(() => {
      this.#drainPending = false;
      this.#guard(() => this.#drain());
    });
  }

  /** Transmits, events, deadline: the rule for callers (spec/API.md 3). */
  #drain(): void {
    const carrier = this.#carrier;
    if (!carrier || this.#over) return this.#flush();
    this.#core.transmits(performance.now(), (remote, local, datagram) => carrier.send(remote, datagram, local));
    for (let kind; (kind = this.#core.plain.next_event()) !== 0; ) this.#event(kind);
    // Answering events may have made more to send.
    this.#core.transmits(performance.now(), (remote, local, datagram) => carrier.send(remote, datagram, local));
    this.#scheduler.arm();
    const ending = this.#ending ?? this.#draining;
    if (ending && this.#connections.size === 0) return this.#end(ending);
    this.#flush();
  }

  #flush(): void {
    if (this.#notices.length === 0) return;
    const notices = this.#notices;
    this.#notices = [];
    this.notify(notices);
  }

  #event(kind: number): void {
    const { plain } = this.#core;
    const number = plain.event_connection();
    if (kind === EVENT.info) {
      const remote = this.#core.eventRemote();
      this.#notices.push({ kind: "info", remote, data: this.#core.eventBytes() });
      return;
    }
    // Nobody is let in any more; once more, as this one has come since.
    if (kind === EVENT.request && this.#ending) return plain.close_all(performance.now());
    const connection = kind === EVENT.request ? this.#incoming(number) : this.#byCore.get(number);
    if (!connection) return;
    const { id } = connection;
    switch (kind) {
      case EVENT.packet:
        this.#notices.push({ kind: "packet", id, sequence: plain.event_sequence(), data: this.#core.eventBytes() });
        break;
      case EVENT.verdict:
        this.#verdict(connection, DELIVERIES[plain.event_delivery()] ?? "unknown");
        this.#settleRefused(connection);
        break;
      case EVENT.challenge: {
        const publicKey = this.#core.eventPublicKey();
        connection.hostKey = publicKey;
        const challenge = { difficulty: plain.event_difficulty(), cipher: this.#core.eventText() };
        this.#notices.push({ kind: "challenge", id, publicKey, data: this.#core.eventBytes(), ...challenge });
        if (connection.trust === "anyone") void this.#acceptChallenge(connection);
        break;
      }
      case EVENT.request: {
        const remote = this.#core.eventRemote();
        const asked = { publicKey: this.#core.eventPublicKey(), data: this.#core.eventBytes(), origin: this.#core.eventText() };
        this.#notices.push({ kind: "request", id, remote, ...asked });
        break;
      }
      case EVENT.established: {
        const settings = this.#core.eventText();
        this.#notices.push({
          kind: "established",
          id,
          remote: this.#core.eventRemote(),
          publicKey: this.#core.eventPublicKey(),
          data: this.#core.eventBytes(),
          settings,
          maxPacketSize: plain.max_packet_size(number),
          window: Number(/window=(\d+)/.exec(settings)?.[1]),
          replaces: this.#byCore.get(plain.event_replaces())?.id ?? 0,
        });
        break;
      }
      case EVENT.close: {
        const code = this.#core.eventText() as CloseCode;
        const by = CLOSED_BY[plain.event_closed_by()] ?? "socket";
        // Closed by us because the carrier is about to go.
        if (code === "shutting_down" && by === "application" && this.#ending && this.#ending.code !== "closed") {
          return this.#ended(connection, this.#ending, "socket");
        }
        this.#ended(connection, new TorqueError(code, CLOSE_MEANINGS[code], this.#core.eventBytes()), by);
        break;
      }
    }
  }

  #incoming(core: number): Connection {
    const id = this.#nextId;
    this.#nextId += 2;
    const connection: Connection = { id, core, remote: "", trust: "ask", hostKey: "", sent: [] };
    this.#connections.set(id, connection);
    this.#byCore.set(core, connection);
    return connection;
  }

  /** Tells a connection's end, and before it what is left to tell. */
  #ended(connection: Connection, error: TorqueError, by: ClosedBy): void {
    while (connection.sent.length > 0) this.#verdict(connection, connection.sent[0] ? "unknown" : "dropped");
    const { code, message, reason } = error;
    this.#notices.push({ kind: "close", id: connection.id, code, by, reason, message });
    this.#connections.delete(connection.id);
    if (connection.core) this.#byCore.delete(connection.core);
  }

  /** The socket is over: with its carrier, by a shutdown, or because it could not begin. */
  #end(error: TorqueError): void {
    if (this.#over) return;
    for (const connection of [...this.#connections.values()]) this.#ended(connection, error, "socket");
    this.#over = true;
    clearTimeout(this.#endTimer);
    clearTimeout(this.#drainTimer);
    this.#opening.abort();
    this.#scheduler?.stop();
    this.#carrier?.close();
    this.#notices.push({ kind: "ended", code: error.code, message: error.message });
    this.#flush();
  }
}

function setLink(core: Core, link: Required<SimulatedLink>): void {
  const seed = Math.floor(Math.random() * 2 ** 32);
  core.plain.set_simulated_link(link.delay, link.jitter, link.loss, link.reorder, link.duplicate, seed);
}

function asError(error: unknown): TorqueError {
  if (error instanceof TorqueError) return error;
  return new TorqueError("internal", `this should not happen, please report it: ${String(error)}`);
}
