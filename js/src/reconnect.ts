import type { TorqueConnection } from "./connection.js";
import { type ErrorCode, guarded, TorqueError } from "./error.js";
import type { ReconnectPolicy } from "./options.js";

/** Codes that the next attempt would not change (spec/API.md 11). */
const FINAL = new Set<ErrorCode>([
  // Decisions.
  "closed", "refused", "origin_not_allowed", "target_not_allowed", "replaced", "superseded", "flooding",
  // Differences between the two sides.
  "key_mismatch", "unknown_key_type", "version_mismatch", "application_mismatch", "no_common_cipher", "gateway_version",
  "no_webtransport",
  // Mistakes.
  "invalid_argument", "invalid_settings", "no_trust", "too_large", "protocol_violation", "gateway_protocol", "core_missing", "internal",
]);

/** An attempt to come. */
export interface Reconnecting {
  /** Why: the code with which the connection ended, or the last attempt failed. */
  code: ErrorCode;
  /** The first is 1. */
  attempt: number;
  /** Milliseconds until then. */
  delay: number;
}

/** Makes one connection after another. @internal */
export class Reconnector {
  readonly #stop = new AbortController();
  readonly #policy: Required<ReconnectPolicy>;

  constructor(
    policy: ReconnectPolicy,
    /** The application's: ends all of it. */
    private readonly signal: AbortSignal | undefined,
    private readonly connect: (by: Reconnector, signal: AbortSignal) => Promise<TorqueConnection>,
  ) {
    this.#policy = { firstDelay: 500, maxDelay: 30_000, attempts: Infinity, ...policy };
    signal?.addEventListener("abort", this.stop);
  }

  /** From now on no other connection is made. */
  readonly stop = (): void => {
    this.signal?.removeEventListener("abort", this.stop);
    this.#stop.abort();
  };

  /** The connection after one that has ended with this error. */
  async after(old: TorqueConnection, error: TorqueError, isOurDoing: boolean): Promise<TorqueConnection> {
    const { firstDelay, maxDelay, attempts } = this.#policy;
    const { signal } = this.#stop;
    for (let attempt = 1; ; attempt++) {
      if (isOurDoing || FINAL.has(error.code) || attempt > attempts || signal.aborted) {
        this.stop();
        throw error;
      }
      const longest = Math.min(maxDelay, firstDelay * 2 ** (attempt - 1));
      const delay = Math.round(longest * (1 + Math.random()) / 2);
      guarded(() => old.onreconnecting?.({ code: error.code, attempt, delay }));
      await pause(delay, signal);
      if (signal.aborted) throw error;
      try {
        return await this.connect(this, signal);
      } catch (failure) {
        if (signal.aborted) throw error;
        if (!(failure instanceof TorqueError)) throw failure;
        error = failure;
      }
    }
  }
}

/** Waits, but not after the signal. */
function pause(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(time, 2 ** 31 - 1));
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
