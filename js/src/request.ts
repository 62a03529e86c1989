import type { ClientConnection } from "./client_connection.js";
import type { Peer, TorqueConnection } from "./connection.js";
import type { Data } from "./data.js";

/**
 * Somebody wants to connect to this host. Answer every request, once: accept, refuse, or ignore it. Another answer fails with
 * the code `not_waiting`, and one that comes when the request has ended with `closed`.
 */
export class ConnectRequest {
  /** @internal */
  constructor(
    private readonly client: ClientConnection,
    private readonly connection: TorqueConnection,
    /** Who asks: a proven key, an address, and the attested origin of a page. */
    readonly peer: Peer,
    /** What was sent with the request, encrypted for this host. */
    readonly connectData: Uint8Array,
  ) {}

  /** Whether it waits for an answer. @internal */
  get isAsked(): boolean {
    return this.client.isAsked;
  }

  /**
   * Accepts, with at most 511 bytes for the other application. Resolves when the other side has proven its keys. Rejects with
   * a {@link TorqueError} if it never does: the one who asks may vanish.
   */
  async accept(data?: Data): Promise<TorqueConnection> {
    this.client.acceptConnection(data);
    await this.connection.established;
    return this.connection;
  }

  /** Refuses, with a reason of at most 511 bytes, which the other application is told. */
  refuse(reason?: Data): void {
    this.client.refuse(reason);
  }

  /** Drops the request. The other side is told nothing, and gives up by itself. */
  ignore(): void {
    this.client.ignore();
  }
}
