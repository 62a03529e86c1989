/**
 * What went wrong, by name.
 *
 * Calls throw it, promises reject with it. `code` is one of the codes of `spec/codes.csv` (`refused`, `no_answer`, …), of a
 * call that could not be made (`window_full`, `too_large`, `not_established`, `closed`, `invalid_argument`, …), or of a carrier
 * (`gateway_unreachable`, `origin_not_allowed`, `target_not_allowed`, …).
 */
export class TorqueError extends Error {
  override readonly name = "TorqueError";

  constructor(
    /** The name of what happened. */
    readonly code: string,
    message: string,
    /** What the application on the other side said, if it refused or closed. */
    readonly reason: Uint8Array = new Uint8Array(),
  ) {
    super(message);
  }

  /** From the core's `code: text`. @internal */
  static parse(text: string): TorqueError {
    const at = text.indexOf(": ");
    return at < 0 ? new TorqueError("internal", text) : new TorqueError(text.slice(0, at), text.slice(at + 2));
  }
}

/** Calls what the application gave. What that throws is uncaught, and does no harm here. @internal */
export function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
