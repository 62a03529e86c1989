/**
 * TorqueSocket for web pages and Node: encrypted packets with a delivery verdict on each.
 *
 * @packageDocumentation
 */

export type { CloseCode } from "./codes.js";
export { type CloseInfo, TorqueConnection, TorqueRequest } from "./connection.js";
export type { Data } from "./data.js";
export type { ClosedBy, ConnectionFigures, Delivery } from "./engine/messages.js";
export { type CallCode, type CarrierCode, type ErrorCode, TorqueError } from "./error.js";
export type { ConnectOptions, GatewayCarrier, ReconnectOptions, ReconnectPolicy, SimulatedLink, SocketOptions } from "./options.js";
export type { Reconnecting } from "./reconnect.js";
export { type SocketEnd, TorqueSocket } from "./socket.js";
