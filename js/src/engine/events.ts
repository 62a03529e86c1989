import type { CloseCode } from "../codes.js";
import type { IntroductionResult } from "../introductions.js";
import type { Verdict } from "../ledger.js";
import type { Core } from "./core.js";
import type { ClosedBy } from "./messages.js";
import { CLOSED_BY, DELIVERIES, EVENT } from "./numbers.js";

/** By their numbers; of 255, and what this package does not know, it has failed. */
const RESULTS: readonly IntroductionResult[] = ["direct", "relayed", "became_direct", "never_asked", "unknown"];

/** An event of the core (spec/API.md 5). `id` is the core's number of the connection. @internal */
export type CoreEvent =
  | { kind: "challenge"; id: number; publicKey: string; data: Uint8Array; introducedData: Uint8Array; difficulty: number; cipher: string }
  | { kind: "request"; id: number; remote: string; publicKey: string; data: Uint8Array; origin: string }
  | {
      kind: "established";
      id: number;
      /** The core's number: introducers tell it to others. */
      number: number;
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
  /** The connection takes another path. */
  | { kind: "path"; id: number; remote: string }
  | { kind: "info"; remote: string; data: Uint8Array }
  /** One party asks for another: two connections. */
  | { kind: "introduction_requested"; id: number; to: number; fromIsHost: boolean }
  | { kind: "introduced"; introduction: string; result: IntroductionResult; code: CloseCode | undefined; neverAsked: ("initiator" | "host")[]; took: number };

/** Takes the events that wait in the core, one after another. A kind that this package does not know is passed over. */
export function* eventsOf(core: Core): Generator<CoreEvent, void, undefined> {
  for (let kind; (kind = core.plain.next_event()) !== 0; ) {
    const event = read(core, kind);
    if (event) yield event;
  }
}

function read(core: Core, kind: number): CoreEvent | undefined {
  const { plain } = core;
  const id = plain.event_connection();
  switch (kind) {
    case EVENT.packet:
      return { kind: "packet", id, sequence: plain.event_sequence(), data: core.eventBytes() };
    case EVENT.verdict:
      return { kind: "verdict", id, verdict: DELIVERIES[plain.event_delivery()] ?? "unknown" };
    case EVENT.challenge_response:
      return {
        kind: "challenge",
        id,
        publicKey: core.eventPublicKey(),
        data: core.eventBytes(),
        introducedData: core.eventIntroducedData(),
        difficulty: plain.event_difficulty(),
        cipher: core.eventText(),
      };
    case EVENT.connect_request:
      return {
        kind: "request",
        id,
        remote: core.eventRemote(),
        publicKey: core.eventPublicKey(),
        data: core.eventBytes(),
        origin: core.eventText(),
      };
    case EVENT.established:
      return {
        kind: "established",
        id,
        number: id,
        remote: core.eventRemote(),
        publicKey: core.eventPublicKey(),
        data: core.eventBytes(),
        settings: core.eventText(),
        window: plain.event_window(),
        maxPacketSize: plain.max_packet_size(id),
        replaces: plain.event_replaces(),
      };
    case EVENT.close:
      return {
        kind: "close",
        id,
        code: core.eventText() as CloseCode,
        by: CLOSED_BY[plain.event_closed_by()] ?? "socket",
        reason: core.eventBytes(),
      };
    case EVENT.path_changed:
      return { kind: "path", id, remote: core.eventRemote() };
    case EVENT.info_packet:
      return { kind: "info", remote: core.eventRemote(), data: core.eventBytes() };
    default:
      return core.introductions && readIntroduction(core, kind);
  }
}

/** The events of an introducer. */
function readIntroduction(core: Core, kind: number): CoreEvent | undefined {
  const { event_other, event_is_host, event_result, event_never_asked, event_took } = core.introductions!;
  switch (kind) {
    case EVENT.introduction_requested:
      return { kind: "introduction_requested", id: core.plain.event_connection(), to: event_other(), fromIsHost: event_is_host() !== 0 };
    case EVENT.introduced:
      return {
        kind: "introduced",
        introduction: core.eventIntroduction(),
        result: RESULTS[event_result()] ?? "failed",
        code: (core.eventText() as CloseCode | "") || undefined,
        neverAsked: (["initiator", "host"] as const).filter((_, bit) => (event_never_asked() >> bit) & 1),
        took: event_took(),
      };
    default:
      return undefined;
  }
}
