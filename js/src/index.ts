/**
 * TorqueSocket for web pages and Node: encrypted packets with a delivery verdict on each.
 *
 * @packageDocumentation
 */

export type { SocketEnd } from "./client.js";
export type { CloseCode } from "./codes.js";
export { type CloseInfo, type Peer, TorqueConnection } from "./connection.js";
export type { Data } from "./data.js";
export type { ClosedBy, ConnectionFigures } from "./engine/messages.js";
export { type CallCode, type CarrierCode, type ErrorCode, TorqueError } from "./error.js";
export type {
  IntroducedHostOptions, IntroducedOptions, IntroducedPaths, IntroduceOptions, IntroductionOptions, IntroductionOutcome, IntroductionResult, Relay,
} from "./introductions.js";
export { KeyPair } from "./key_pair.js";
export type { Verdict } from "./ledger.js";
export type { ConnectOptions, GatewayCarrier, ReconnectOptions, ReconnectPolicy, SimulatedLink, SocketOptions } from "./options.js";
export { type Rates, ratesBetween } from "./rates.js";
export type { Reconnecting } from "./reconnect.js";
export { ConnectRequest } from "./request.js";
export { TorqueSocket } from "./socket.js";
export type { Target } from "./target.js";
export type { HostIdentity, Trust } from "./trust.js";
