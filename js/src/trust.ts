import type { Attempt } from "./client.js";
import { type CallCode, TorqueError } from "./error.js";
import { keyIn } from "./target.js";

/** A host that has proven its key, before anything is encrypted for it. */
export interface HostIdentity {
  /** Its public key, `tk1…`. */
  publicKey: string;
  /** What it shows everyone who asks, signed by its key. */
  challengeResponse: Uint8Array;
  /** Bits of client puzzle that it asks for. */
  difficulty: number;
  /** The cipher that it has chosen. */
  cipher: string;
  /** What the host gave for this introduction, of one that is introduced; else empty. The introducer could have made it up. */
  introducedData: Uint8Array;
}

/**
 * Which host to believe. A key in the URL is a pin: the host has to have it, whatever is said here, and what is said here has to
 * agree.
 *
 * - a public key, `tk1…`, or several of them: the host has to have it, or one of them
 * - a function: decides about the key that the host has shown, for example by asking the user, or by looking up the keys that
 *   were seen before
 * - `"anyone"`: any key, unless the URL has one. Someone who can send from the host's address can then be the host
 */
export type Trust = "anyone" | (string & {}) | readonly string[] | ((host: HostIdentity) => boolean | Promise<boolean>);

/** What to do with a host, as the engine and the connection take it. @internal */
export interface Judgement extends Pick<Attempt, "url" | "trust"> {
  /** Decides about the key, if the connection is asked. */
  decide?: ((host: HostIdentity) => boolean | Promise<boolean>) | undefined;
}

const CHOICES =
  'put its key in the URL (torque://tk1…@host), or give `trust`: a key or a list of keys ("tk1…"), a function that decides about the key that the ' +
  'host shows ((host) => isKnown(host.publicKey)), or "anyone"';

/** Reads `trust` for a URL. Throws a {@link TorqueError} that lists the choices if nothing says which host to believe. @internal */
export function judge(url: string, trust: Trust | undefined): Judgement {
  const pinned = keyIn(url).toLowerCase();
  const fail = (what: string, code: CallCode = "invalid_argument") => new TorqueError(code, `${what}: ${CHOICES}`);
  if (trust === undefined) {
    if (!pinned) throw fail("nothing says which host to trust", "no_trust");
    return { url, trust: "ask" };
  }
  if (typeof trust === "function") return { url, trust: "ask_always", decide: trust };
  if (trust === "anyone") return { url, trust: "anyone" };
  const keys = [trust].flat().map((key: unknown) => (typeof key === "string" ? key.toLowerCase() : ""));
  if (keys.length === 0 || !keys.every((key) => key.startsWith("tk1"))) {
    throw fail('`trust` must be a key (tk1…), a list of keys, a function, or "anyone"');
  }
  if (pinned) {
    if (!keys.includes(pinned)) throw fail("the key in the URL is none of those in `trust`");
    return { url, trust: "ask" };
  }
  // The core checks how a key is written.
  if (keys.length === 1) return { url: url.replace("://", `://${keys[0]}@`), trust: "ask" };
  return { url, trust: "ask", decide: ({ publicKey }) => keys.includes(publicKey) };
}
