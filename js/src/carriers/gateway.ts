import { type ErrorCode, TorqueError } from "../error.js";
import * as control from "./control.js";
import type { Carrier, CarrierListener } from "./carrier.js";
import { Farewell } from "./farewell.js";
import { readContext, withContext } from "./varint.js";

/** What the two ways to a gateway have to do: move whole messages. */
export interface Transport {
  readonly name: "webtransport" | "websocket";
  sendControl(message: Uint8Array): void;
  /** A context and a datagram. May lose it. */
  sendDatagram(message: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

/** After this much silence a gateway is gone: milliseconds (spec/GATEWAY.md 1). */
const SILENCE_LIMIT = 7_000;
/** Datagrams that came before the message that names their context, and how long they are kept. */
const EARLY_DATAGRAMS = 16;
const EARLY_TIME = 1_000;
/** How long to wait for answers: to the session being opened, a context being opened, a token being asked for. */
const WELCOME_TIME = 5_000;
const OPEN_TIME = 10_000;
const ATTEST_TIME = 2_000;

const REFUSALS: readonly (ErrorCode | "")[] = ["", "target_not_allowed", "name_not_found", "too_many_contexts", "no_route"];
const ENDINGS: readonly (ErrorCode | "")[] = ["", "gateway_draining", "flooding", "gateway_protocol", "gateway_idle", "gateway_full", "too_many_sessions", "gateway_no_port"];

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: TorqueError): void;
}

/**
 * A session with a gateway (spec/GATEWAY.md): contexts, control messages, liveness.
 * Made by the transports, which feed it with what comes.
 */
export class GatewaySession implements Carrier {
  address = "";
  gatewayKey = new Uint8Array();
  readonly #addresses = new Map<number, string>();
  readonly #contexts = new Map<string, number>();
  readonly #opening = new Map<number, Waiting<string>>();
  readonly #attesting = new Map<number, Waiting<Uint8Array | undefined>>();
  readonly #welcome: Promise<void>;
  #welcomed: Waiting<void> | undefined;
  #early: { at: number; context: number; datagram: Uint8Array }[] = [];
  #nextContext = 2;
  #nextRequest = 1;
  #over = false;
  readonly #farewell: Farewell;
  #heard = performance.now();
  readonly #watch: ReturnType<typeof setInterval>;

  constructor(
    private readonly transport: Transport,
    /** Where the gateway answers requests. */
    base: URL,
    private readonly listener: CarrierListener,
  ) {
    this.#farewell = new Farewell(base);
    this.#welcome = this.#waitFor(WELCOME_TIME, "gateway_silent", `the gateway did not say welcome within ${WELCOME_TIME / 1_000} s`, (waiting) => {
      this.#welcomed = waiting;
    });
    this.#watch = setInterval(() => {
      if (performance.now() - this.#heard > SILENCE_LIMIT) {
        this.lost(new TorqueError("gateway_lost", "the gateway has gone silent: connect again"));
      }
    }, 1_000);
  }

  get name(): Transport["name"] {
    return this.transport.name;
  }

  /** Resolves when the gateway has said welcome. If it does not, or the signal says stop, the session is over. */
  async ready(signal: AbortSignal): Promise<this> {
    const stop = () => this.lost(new TorqueError("closed", "the socket was shut down meanwhile"));
    signal.addEventListener("abort", stop);
    try {
      await this.#welcome;
      return this;
    } catch (error) {
      this.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async resolve(host: string, port: number): Promise<[string]> {
    const context = this.#nextContext;
    this.#nextContext += 2;
    const opened = this.#waitFor<string>(OPEN_TIME, "gateway_silent", "the gateway did not open a context", (waiting) => {
      this.#opening.set(context, waiting);
    });
    this.transport.sendControl(control.open(context, host, port));
    return [await opened.finally(() => this.#opening.delete(context))];
  }

  send(remote: string, datagram: Uint8Array): void {
    const context = this.#contexts.get(remote);
    if (this.#over || context === undefined) return;
    const frame = withContext(context, datagram);
    this.#farewell.add(frame);
    this.transport.sendDatagram(frame);
  }

  leave(act: () => void): void {
    this.#farewell.begin();
    act();
    this.#farewell.post();
  }

  async attest(remote: string, initiatorKey: Uint8Array, hostKey: Uint8Array): Promise<Uint8Array | undefined> {
    const context = this.#contexts.get(remote);
    if (context === undefined) return undefined;
    const request = this.#nextRequest++;
    const attested = this.#waitFor<Uint8Array | undefined>(ATTEST_TIME, "gateway_silent", "no origin token", (waiting) => {
      this.#attesting.set(request, waiting);
    });
    this.transport.sendControl(control.attest(request, context, initiatorKey, hostKey));
    // Without a token the host says what it thinks of that.
    return attested.catch(() => undefined).finally(() => this.#attesting.delete(request));
  }

  close(): void {
    this.#over = true;
    clearInterval(this.#watch);
    this.transport.close();
  }

  /** For the transport: a control message has come. */
  control(message: Uint8Array): void {
    this.#heard = performance.now();
    let told: control.FromGateway | undefined;
    try {
      told = control.read(message);
    } catch {
      return this.lost(new TorqueError("gateway_protocol", "the gateway sent a malformed message"));
    }
    if (told) this.#told(told);
  }

  /** For the transport: a context and a datagram have come. */
  datagram(message: Uint8Array): void {
    const read = readContext(message);
    if (!read || this.#over) return;
    const datagram = message.subarray(read.length);
    const remote = this.#addresses.get(read.context);
    if (remote !== undefined) return this.listener.datagram(remote, datagram);
    const now = performance.now();
    this.#early = this.#early.filter((early) => now - early.at < EARLY_TIME);
    if (this.#early.length < EARLY_DATAGRAMS) {
      this.#early.push({ at: now, context: read.context, datagram: datagram.slice() });
    }
  }

  /** For the transport: the browser has ended it, as the page goes away. */
  pageLeaves(): void {
    if (!this.#over && this.address) this.listener.pageLeaves();
  }

  /** For the transport: it has ended. */
  lost(error: TorqueError): void {
    if (this.#over) return;
    this.close();
    // Before the welcome, the caller may have another way.
    if (!this.address) return this.#welcomed?.reject(error);
    for (const waiting of [...this.#opening.values(), ...this.#attesting.values()]) waiting.reject(error);
    this.listener.lost(error);
  }

  #told(told: control.FromGateway): void {
    switch (told.kind) {
      case "welcome":
        if (told.version !== 1) {
          return this.lost(new TorqueError("gateway_version", `the gateway speaks version ${told.version}, this socket 1`));
        }
        this.address = told.address;
        this.gatewayKey = told.gatewayKey as Uint8Array<ArrayBuffer>;
        this.transport.sendControl(control.farewell(this.#farewell.key));
        this.#welcomed?.resolve();
        break;
      case "opened": {
        const known = this.#contexts.get(told.address);
        if (known === undefined) this.#add(told.context, told.address);
        // One context is enough for a remote, however often it is asked for.
        else if (known !== told.context) this.transport.sendControl(control.forget(told.context));
        this.#opening.get(told.context)?.resolve(told.address);
        break;
      }
      case "refused":
        this.#opening.get(told.context)?.reject(new TorqueError(REFUSALS[told.code] || "target_not_allowed", told.reason));
        break;
      case "context":
        this.#add(told.context, told.address);
        break;
      case "attested":
        this.#attesting.get(told.request)?.resolve(told.token.length > 0 ? told.token : undefined);
        break;
      case "draining":
        this.listener.draining(told.time);
        break;
      case "closing":
        this.lost(new TorqueError(ENDINGS[told.code] || "gateway_lost", told.reason));
        break;
      case "forgotten":
        this.#remove(told.context);
        break;
      case "alive":
        break;
    }
  }

  #add(context: number, address: string): void {
    this.#addresses.set(context, address);
    this.#contexts.set(address, context);
    const early = this.#early;
    this.#early = early.filter((datagram) => datagram.context !== context);
    for (const datagram of early) if (datagram.context === context) this.listener.datagram(address, datagram.datagram);
  }

  #remove(context: number): void {
    const address = this.#addresses.get(context);
    if (address === undefined) return;
    this.#addresses.delete(context);
    if (this.#contexts.get(address) !== context) return;
    this.#contexts.delete(address);
    // More than one may have stood for it.
    for (const [other, same] of this.#addresses) if (same === address) this.#contexts.set(address, other);
  }

  #waitFor<T>(time: number, code: ErrorCode, message: string, put: (waiting: Waiting<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new TorqueError(code, message)), time);
      put({
        resolve: (value) => { clearTimeout(timer); resolve(value); },
        reject: (error) => { clearTimeout(timer); reject(error); },
      });
    });
  }
}
