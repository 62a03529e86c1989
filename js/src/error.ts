import type { CloseCode, CoreCallCode } from "./codes.js";

/** Why a call failed, or a socket could not begin. */
export type CallCode =
  | CoreCallCode
  | "already_bound" | "bind_failed" | "blocked_by_csp" | "core_missing" | "internal" | "invalid_argument" | "no_introductions" | "worker_missing";

/** Why a gateway cannot be used, or why it declined a request. */
export type CarrierCode =
  | "flooding" | "gateway_draining" | "gateway_full" | "gateway_idle" | "gateway_lost" | "gateway_no_port" | "gateway_protocol"
  | "gateway_silent" | "gateway_unreachable" | "gateway_version" | "no_route" | "no_webtransport" | "target_not_allowed"
  | "too_many_contexts" | "too_many_sessions";

/** The code of an error: of a connection's end (`spec/codes.csv`), of a call, or of a carrier. */
export type ErrorCode = CloseCode | CallCode | CarrierCode;

/**
 * An error with a code.
 *
 * Calls throw it, promises reject with it. `code` is one of the codes of `spec/codes.csv` (`refused`, `no_answer`, …), of a
 * call that could not be made (`window_full`, `too_large`, `not_established`, `closed`, `no_trust`, `invalid_argument`, …), or of a carrier
 * (`gateway_unreachable`, `origin_not_allowed`, `target_not_allowed`, …).
 */
export class TorqueError extends Error {
  override readonly name = "TorqueError";

  constructor(
    /** The code: what went wrong. */
    readonly code: ErrorCode,
    message: string,
    /** What the application on the other side said, if it refused or closed. */
    readonly reason: Uint8Array = new Uint8Array(),
  ) {
    super(message);
  }

  /** From the core's `code: text`. @internal */
  static parse(text: string): TorqueError {
    const at = text.indexOf(": ");
    return at < 0 ? new TorqueError("internal", text) : new TorqueError(text.slice(0, at) as ErrorCode, text.slice(at + 2));
  }
}

/** Calls a function of the application. What it throws is an uncaught error of the program, and does no harm here. @internal */
export function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
