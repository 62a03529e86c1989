import type { Carrier } from "../carriers/carrier.js";
import { CLOSE_MEANINGS } from "../codes.js";
import { TorqueError } from "../error.js";
import type { LinkSetting } from "../options.js";
import { type Connection, Connections } from "./connections.js";
import { Core } from "./core.js";
import { type CoreEvent, eventsOf } from "./events.js";
import { figuresOf } from "./figures.js";
import type { ClosedBy, Command, EngineOptions, Notice } from "./messages.js";
import { isGateway, openCarrier } from "./open_carrier.js";
import { Scheduler } from "./scheduler.js";

const NOTHING = new Uint8Array();
/** Milliseconds before its carrier is gone that a socket closes what is left, so that the other sides hear of it. */
const LAST_WORDS = 1_000;
/** Milliseconds that a socket may take to end beyond what its connections may take. */
const END_MARGIN = 1_000;

/** The commands of an introducer. */
type Introducing = Extract<Command, { kind: "introduce" | "refuse_introduction" }>;

/**
 * Drives the core: hands in datagrams, time and commands, and hands out datagrams and notices. Runs in a worker or in the page.
 *
 * Every call from outside ends in {@link Engine.#drain}: transmits, then events, then the deadline. If the core breaks there, the socket
 * is over, and says so.
 */
export class Engine {
  #core!: Core;
  #carrier: Carrier | undefined;
  #scheduler!: Scheduler;
  readonly #connections = new Connections();
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

  /** Carries out commands, in order. */
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
      // A gateway opens the way only to those who wrote first.
      const answersOnly = core.introductions && options.bind.some((bind) => isGateway(bind, options.origin));
      core.begin(answersOnly ? `${options.core}\nintroduction.answers_only=true` : options.core, performance.now());
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

  /** Commands other than `shutdown` come only after the socket is bound: the page sees to it. */
  #handle(command: Exclude<Command, { kind: "begin" }>): void {
    const now = performance.now();
    switch (command.kind) {
      case "connect":
        void this.#connect(command);
        break;
      case "connect_introduced":
        void this.#connectIntroduced(command);
        break;
      case "introduce":
      case "refuse_introduction":
        // At once: what becomes of an introduction may be told next.
        this.#reply(command.request, () => this.#introduce(now, command));
        break;
      case "accept_challenge":
        this.#with(command.id, (connection) => void this.#acceptChallenge(connection, command.publicKey));
        break;
      case "accept_connection":
        this.#with(command.id, ({ core }) => this.#core.acceptConnection(now, core, command.data));
        break;
      case "refuse":
        this.#with(command.id, ({ core }) => this.#core.refuse(now, core, command.reason));
        break;
      case "ignore":
        this.#with(command.id, ({ core }) => this.#core.ignore(core));
        break;
      case "close":
        this.#close(command.id, command.reason);
        break;
      case "send":
        this.#send(now, command);
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
  async #answer(command: Exclude<Extract<Command, { request: number }>, Introducing>): Promise<void> {
    const { request } = command;
    try {
      // Before `#notices` is read: while this waits, `#flush` may begin another list.
      const value = await this.#valueOf(command);
      this.#reply(request, () => value);
    } catch (error) {
      this.#reply(request, () => { throw error; });
    }
    this.#drainSoon();
  }

  /** Tells what `act` returns, or throws. */
  #reply(request: number, act: () => unknown): void {
    try {
      const value = act();
      this.#notices.push({ kind: "reply", request, value });
    } catch (error) {
      const { code, message } = asError(error);
      this.#notices.push({ kind: "reply", request, value: undefined, error: { code, message } });
    }
  }

  async #valueOf(command: Exclude<Extract<Command, { request: number }>, Introducing>): Promise<unknown> {
    switch (command.kind) {
      case "stats":
        return JSON.parse(this.#core.stats()) as unknown;
      case "connection_stats": {
        const connection = this.#connections.get(command.id);
        const json = connection?.core ? this.#core.connectionStats(connection.core) : "";
        return json ? figuresOf(json, performance.now()) : undefined;
      }
      case "set_key_pair":
        this.#core.setKeyPair(command.text);
        return this.#core.publicKey();
      case "set_challenge_response":
        return this.#core.setChallengeResponse(command.data);
      case "send_info": {
        const { host, port } = this.#core.parseUrl(command.remote);
        // At one of a name's addresses somebody listens.
        for (const remote of await this.#carrier!.resolve(host, port)) this.#core.sendInfo(remote, command.data);
      }
    }
  }

  async #connect(command: Extract<Command, { kind: "connect" }>): Promise<void> {
    const { trust } = command;
    const connection = this.#connections.begin(command.id, trust);
    try {
      if (this.#windingDown) throw this.#windingDown;
      const { host, port, key } = this.#core.parseUrl(command.url);
      const remotes = await this.#carrier!.resolve(host, port);
      if (!this.#connections.has(connection)) return;
      connection.remote = remotes[0];
      const always = trust === "ask_always";
      if (always) connection.pin = key;
      const pinned = always ? "" : key;
      const token = pinned ? await this.#originToken(connection.remote, pinned) : NOTHING;
      if (!this.#connections.has(connection)) return;
      // An origin token is made for the host's key, so the core asks for it although nobody else does.
      const asks = trust !== "anyone" || this.#carrier!.attest !== undefined;
      const coreTrust = pinned || (asks ? "ask" : "anyone");
      const core = this.#core.connect(performance.now(), remotes, command.settings, coreTrust, command.data, token);
      this.#connections.named(connection, core);
    } catch (error) {
      if (this.#connections.has(connection)) this.#ended(connection, asError(error), "socket");
    }
    this.#guard(() => this.#drain());
  }

  async #connectIntroduced(command: Extract<Command, { kind: "connect_introduced" }>): Promise<void> {
    const { isHost, trust, pin } = command;
    const connection = this.#connections.begin(command.id, trust);
    try {
      if (this.#windingDown) throw this.#windingDown;
      if (command.direct) await this.#tellAddresses();
      if (!this.#connections.has(connection)) return;
      const coreTrust = trust === "anyone" ? "anyone" : pin || "ask";
      const introducer = this.#coreOf(command.introducer);
      const { remote, relay, direct, settings, data } = command;
      const core = this.#core.connectIntroduced(performance.now(), introducer, remote, isHost, relay, direct, settings, coreTrust, data);
      this.#connections.named(connection, core);
    } catch (error) {
      if (this.#connections.has(connection)) this.#ended(connection, asError(error), "socket");
    }
    this.#guard(() => this.#drain());
  }

  /** Tells the core where this machine may be reached, now and whenever that changes. */
  async #tellAddresses(): Promise<void> {
    const changed = (addresses: string[]) =>
      this.#guard(() => {
        this.#core.setOwnAddresses(performance.now(), addresses);
        this.#core.introductions!.network_changed(performance.now());
        this.#drain();
      });
    const addresses = await this.#carrier!.ownAddresses?.(changed);
    if (addresses && !this.#over) this.#core.setOwnAddresses(performance.now(), addresses);
  }

  #introduce(now: number, command: Introducing): unknown {
    if (command.kind === "refuse_introduction") {
      return this.#core.refuseIntroduction(now, this.#coreOf(command.from), this.#coreOf(command.to));
    }
    return this.#core.introduce(now, this.#coreOf(command.initiator), this.#coreOf(command.host), command.relay);
  }

  /** The core's number of a connection that is there. */
  #coreOf(id: number): number {
    const core = this.#connections.get(id)?.core;
    if (!core) throw new TorqueError("closed", "the connection has ended");
    return core;
  }

  /** Goes on with the host of this key, unless another one has answered since. */
  async #acceptChallenge(connection: Connection, hostKey: string): Promise<void> {
    if (!hostKey || connection.hostKey !== hostKey) return;
    try {
      const token = await this.#originToken(connection.remote, hostKey);
      if (connection.hostKey !== hostKey) return;
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

  #send(now: number, { id, packet, data }: Extract<Command, { kind: "send" }>): void {
    const connection = this.#connections.get(id);
    // Its close is on its way to the page, and settles this packet.
    if (!connection) return;
    try {
      this.#core.send(now, connection.core, data);
    } catch {
      this.#notices.push({ kind: "refused", id, packet });
    }
  }

  /** Why the socket begins no more connections, and ends with the last one. */
  get #windingDown(): TorqueError | undefined {
    return this.#ending ?? this.#draining;
  }

  #closeAll(now: number): void {
    for (const connection of this.#connections.all()) if (!connection.core) this.#close(connection.id, NOTHING);
    this.#core.plain.close_all(now);
  }

  /** The page goes away: everything that is still open ends now. */
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
    if (error.code === "closed" || error.code === "not_waiting" || !this.#connections.has(connection)) return;
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
    this.#core.transmits(performance.now(), carrier.send.bind(carrier));
    for (const event of eventsOf(this.#core)) this.#event(event);
    // Answering events may have made more to send.
    this.#core.transmits(performance.now(), carrier.send.bind(carrier));
    this.#scheduler.arm();
    if (this.#windingDown && this.#connections.size === 0) return this.#end(this.#windingDown);
    this.#flush();
  }

  #flush(): void {
    if (this.#notices.length === 0) return;
    const notices = this.#notices;
    this.#notices = [];
    this.notify(notices);
  }

  /** Passes on what the core tells, under the number that the page knows. */
  #event(event: CoreEvent): void {
    if (event.kind === "info" || event.kind === "introduced") return void this.#notices.push(event);
    if (event.kind === "request") return this.#requested(event);
    const connection = this.#connections.ofCore(event.id);
    if (!connection) return;
    const { id } = connection;
    switch (event.kind) {
      case "challenge":
        connection.hostKey = event.publicKey;
        if (connection.pin && connection.pin !== event.publicKey) {
          return this.#failed(connection, new TorqueError("key_mismatch", CLOSE_MEANINGS.key_mismatch));
        }
        // With "anyone" only the engine asked, for the sake of an origin token.
        if (connection.trust === "anyone") void this.#acceptChallenge(connection, event.publicKey);
        else this.#notices.push({ ...event, id });
        break;
      case "established":
        this.#notices.push({ ...event, id, replaces: this.#connections.ofCore(event.replaces)?.id ?? 0 });
        break;
      case "close": {
        const { code, by, reason } = event;
        // Closed by us because the carrier is about to go.
        if (code === "shutting_down" && by === "application" && this.#ending && this.#ending.code !== "closed") {
          return this.#ended(connection, this.#ending, "socket");
        }
        return this.#ended(connection, new TorqueError(code, CLOSE_MEANINGS[code], reason), by);
      }
      case "introduction_requested": {
        const to = this.#connections.ofCore(event.to)?.id;
        if (to) this.#notices.push({ ...event, id, to });
        break;
      }
      default:
        this.#notices.push({ ...event, id });
    }
  }

  #requested(event: Extract<CoreEvent, { kind: "request" }>): void {
    // A socket that ends lets nobody in. This request came after the last `close_all`.
    if (this.#ending) return this.#core.plain.close_all(performance.now());
    // An introduced one has its place already.
    const connection = this.#connections.ofCore(event.id) ?? this.#connections.incoming(event.id);
    this.#notices.push({ ...event, id: connection.id });
  }

  #ended(connection: Connection, error: TorqueError, by: ClosedBy): void {
    const { code, message, reason } = error;
    this.#notices.push({ kind: "close", id: connection.id, code, by, reason, message });
    this.#connections.remove(connection);
  }

  /** The socket is over: with its carrier, by a shutdown, or because it could not begin. */
  #end(error: TorqueError): void {
    if (this.#over) return;
    for (const connection of this.#connections.all()) this.#ended(connection, error, "socket");
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

function setLink(core: Core, link: LinkSetting): void {
  const seed = Math.floor(Math.random() * 2 ** 32);
  core.plain.set_simulated_link(link.preset, link.delay, link.jitter, link.loss, link.reorder, link.duplicate, seed);
}

function asError(error: unknown): TorqueError {
  if (error instanceof TorqueError) return error;
  return new TorqueError("internal", `this should not happen, please report it: ${String(error)}`);
}
