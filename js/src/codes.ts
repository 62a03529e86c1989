/** Codes. Written by `cargo xtask codes` from `spec/codes.csv`: change them there. */

/** What each close code means (PROTOCOL.md 10). */
export const CLOSE_MEANINGS = {
  closed: "The other side's or this application closed the connection",
  refused: "The application of the host refused the connection",
  no_decision: "An application did not answer the question it was asked in time",
  protocol_violation: "The other side broke the protocol",
  address_in_use: "The old connection with the same address still answers",
  replaced: "A newer connection from the same address took this one's place",
  shutting_down: "The socket is being closed",
  origin_not_allowed: "The host admits only pages of certain origins",
  introduction_refused: "The introducer's application refused the introduction",
  role_conflict: "Both parties of the introduction are host or both are initiator",
  remote_never_asked: "The other party of the introduction did not ask in time",
  remote_gone: "The other party of the introduction gave up or left",
  timed_out: "The other side went silent",
  no_answer: "Nothing came back from the host",
  not_confirmed: "The initiator never proved its keys",
  superseded: "Both sides connected to each other at once and the other attempt won",
  version_mismatch: "The host does not speak this version of the protocol",
  application_mismatch: "The host belongs to another application or another version of it",
  no_common_cipher: "The host allows none of the ciphers offered",
  busy: "The host has no room for another connection",
  bad_signature: "The host's key did not sign what came",
  key_mismatch: "The host has another key than the one expected",
  unknown_key_type: "The host has a kind of key that this version does not know",
  difficulty_too_high: "The host demanded more work than allowed",
  stale_challenge: "The host kept asking for a fresh beginning",
  name_not_found: "The host's name could not be resolved",
  unreachable: "The operating system could not send to the host",
  no_path: "No address of the other party answered and no circuit was granted",
  hard_nat: "No address of the other party answered because NATs depend on the destination",
  introducer_gone: "The connection with the introducer ended before it had introduced",
  host_restarted: "The host was restarted and has lost the connection",
} as const;

/** Why a connection, pending or established, ended (PROTOCOL.md 10). */
export type CloseCode = keyof typeof CLOSE_MEANINGS;

/** What is wrong with a call of the core. */
export type CoreCallCode =
  | "closed"
  | "not_established"
  | "window_full"
  | "too_large"
  | "blocked"
  | "not_waiting"
  | "no_trust"
  | "too_many_connections"
  | "address_in_use"
  | "not_an_info_packet"
  | "invalid_settings"
  | "connections_exist"
  | "already_introducing"
  | "other_shard"
  | "too_many_introductions"
  | "not_an_introducer";
