import type { CloseCode } from "../codes.js";
import type { Verdict } from "../ledger.js";
import type { Core } from "./core.js";
import type { ClosedBy } from "./messages.js";

/** The numbers that the core gives its kinds of events (crates/torque-wasm/src/events.rs). */
const KIND = { none: 0, challenge: 1, request: 2, established: 3, close: 4, packet: 5, verdict: 6, info: 7 } as const;
const VERDICTS: readonly Verdict[] = ["dropped", "delivered", "unknown"];
const CLOSED_BY: readonly ClosedBy[] = ["application", "remote", "socket"];

/** An event of the core (spec/API.md 5). `id` is the core's number of the connection. @internal */
export type CoreEvent =
  | { kind: "challenge"; id: number; publicKey: string; data: Uint8Array; difficulty: number; cipher: string }
  | { kind: "request"; id: number; remote: string; publicKey: string; data: Uint8Array; origin: string }
  | {
      kind: "established";
      id: number;
      remote: string;
      publicKey: string;
      data: Uint8Array;
      settings: string;
      window: number;
      maxPacketSize: number;
      replaces: number;
    }
  | { kind: "close"; id: number; code: CloseCode; by: ClosedBy; reason: Uint8Array }
  | { kind: "packet"; id: number; sequence: number; data: Uint8Array }
  /** On the oldest packet without a verdict of those that the core took. */
  | { kind: "verdict"; id: number; verdict: Verdict }
  | { kind: "info"; remote: string; data: Uint8Array };

/** Takes the events that wait in the core, one after another. A kind that this package does not know is passed over. */
export function* eventsOf(core: Core): Generator<CoreEvent, void, undefined> {
  for (let kind; (kind = core.plain.next_event()) !== KIND.none; ) {
    const event = read(core, kind);
    if (event) yield event;
  }
}

function read(core: Core, kind: number): CoreEvent | undefined {
  const { plain } = core;
  const id = plain.event_connection();
  switch (kind) {
    case KIND.packet:
      return { kind: "packet", id, sequence: plain.event_sequence(), data: core.eventBytes() };
    case KIND.verdict:
      return { kind: "verdict", id, verdict: VERDICTS[plain.event_delivery()] ?? "unknown" };
    case KIND.challenge:
      return {
        kind: "challenge",
        id,
        publicKey: core.eventPublicKey(),
        data: core.eventBytes(),
        difficulty: plain.event_difficulty(),
        cipher: core.eventText(),
      };
    case KIND.request:
      return {
        kind: "request",
        id,
        remote: core.eventRemote(),
        publicKey: core.eventPublicKey(),
        data: core.eventBytes(),
        origin: core.eventText(),
      };
    case KIND.established:
      return {
        kind: "established",
        id,
        remote: core.eventRemote(),
        publicKey: core.eventPublicKey(),
        data: core.eventBytes(),
        settings: core.eventText(),
        window: plain.event_window(),
        maxPacketSize: plain.max_packet_size(id),
        replaces: plain.event_replaces(),
      };
    case KIND.close:
      return {
        kind: "close",
        id,
        code: core.eventText() as CloseCode,
        by: CLOSED_BY[plain.event_closed_by()] ?? "socket",
        reason: core.eventBytes(),
      };
    case KIND.info:
      return { kind: "info", remote: core.eventRemote(), data: core.eventBytes() };
    default:
      return undefined;
  }
}
