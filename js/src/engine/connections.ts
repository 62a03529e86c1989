import type { AttemptTrust } from "./messages.js";

/** A connection as the engine knows it. */
export interface Connection {
  /** The number by which page and engine speak of it. */
  readonly id: number;
  /** The core's number; 0 while the host's name is being resolved. */
  core: number;
  /**
   * Where an attempt goes first; empty while the name is being resolved, and for connections that others made. Through a gateway
   * there is no other, and origin tokens are made for it.
   */
  remote: string;
  /** Whether the application is asked about the host's key. */
  readonly trust: AttemptTrust;
  /** The key in the URL, if the engine has to look that the host shows it, as the core asks; else empty. */
  pin: string;
  /** The key that the last challenge showed. */
  hostKey: string;
}

/** The connections of one socket, by both their numbers. */
export class Connections {
  readonly #byId = new Map<number, Connection>();
  readonly #byCore = new Map<number, Connection>();
  /** The page gives odd numbers, so that it need not wait for them. */
  #nextId = 2;

  get size(): number {
    return this.#byId.size;
  }

  /** An attempt that the page began under this number. */
  begin(id: number, trust: Connection["trust"]): Connection {
    return this.#add({ id, core: 0, remote: "", trust, pin: "", hostKey: "" });
  }

  /** A connection that somebody else asks for. */
  incoming(core: number): Connection {
    const id = this.#nextId;
    this.#nextId += 2;
    return this.named(this.#add({ id, core: 0, remote: "", trust: "ask", pin: "", hostKey: "" }), core);
  }

  /** The core has given a connection its number. */
  named(connection: Connection, core: number): Connection {
    connection.core = core;
    this.#byCore.set(core, connection);
    return connection;
  }

  get(id: number): Connection | undefined {
    return this.#byId.get(id);
  }

  ofCore(core: number): Connection | undefined {
    return this.#byCore.get(core);
  }

  has(connection: Connection): boolean {
    return this.#byId.has(connection.id);
  }

  remove(connection: Connection): void {
    this.#byId.delete(connection.id);
    if (this.#byCore.get(connection.core) === connection) this.#byCore.delete(connection.core);
  }

  all(): Connection[] {
    return [...this.#byId.values()];
  }

  #add(connection: Connection): Connection {
    this.#byId.set(connection.id, connection);
    return connection;
  }
}
