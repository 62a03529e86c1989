/** Why there is no connection, in words, and whether another attempt may help. */

export interface Reason {
  readonly text: string;
  readonly again: boolean;
}

const TEXTS: Record<string, [string, boolean]> = {
  closed: ["The other side closed the connection", true],
  refused: ["The host refused", false],
  shutting_down: ["The host is shutting down", true],
  replaced: ["A newer connection from the same address has taken its place", false],
  timed_out: ["The host has been silent for too long", true],
  no_answer: ["Nobody answers there", true],
  no_decision: ["Nobody decided about the request in time", false],
  not_confirmed: ["The host accepted and was then not heard again", true],
  origin_not_allowed: ["Pages of this origin are not admitted", false],
  target_not_allowed: ["The gateway does not reach that address", false],
  key_mismatch: ["The host has another key than its address says", false],
  version_mismatch: ["The host speaks another version of the protocol", false],
  application_mismatch: ["The host is one of another application", false],
  difficulty_too_high: ["The host asks for more work than this page does", false],
  busy: ["The host has no room at present", true],
  stale_challenge: ["The host is under load", true],
  name_not_found: ["The host's name has no address", false],
  remote_gone: ["The other page has gone", true],
  remote_never_asked: ["The other page did not answer the lobby", true],
  introducer_gone: ["The lobby has gone", true],
  no_path: ["There is no path to the other page", true],
  hard_nat: ["There is no path to the other page", true],
  no_server: ["The program that serves this page does not answer", true],
  no_arena: ["This page is served without an arena: start it with “cargo xtask demo”", false],
  gateway_unreachable: ["The gateway cannot be reached", true],
  gateway_lost: ["The gateway is gone", true],
  gateway_draining: ["The gateway is going away", true],
  gateway_full: ["The gateway has no room at present", true],
  too_many_sessions: ["The gateway has as many pages of this network address as it takes", true],
};

/** The reason behind a code; `said` is what the application on the other side said, `message` what the socket knows more. */
export function reasonOf(code: string, said: string, message: string): Reason {
  const [text, again] = TEXTS[code] ?? [message || code.replaceAll("_", " "), true];
  return { text: said ? `${text}: “${said}”` : text, again };
}

/** The bytes of a reason as one short line. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\p{C}/gu, "").slice(0, 200);
}
