/** The package with the parts that its own tests take apart. Not published. @internal */

export * from "./index.js";
export { DraftSocket } from "./draft.js";
export * as control from "./carriers/control.js";
export { GatewaySession } from "./carriers/gateway.js";
export { readContext, withContext } from "./carriers/varint.js";
export { ClientConnection } from "./client_connection.js";
export { copyOf } from "./data.js";
export { Core } from "./engine/core.js";
export { Engine } from "./engine/engine.js";
export { Scheduler } from "./engine/scheduler.js";
export { coreOptions, engineOptions, linkOf, noteCarrier } from "./options.js";
export { Reconnector } from "./reconnect.js";

/** What runs in Node only. */
export const nodeSockets = () => import("./carriers/node_sockets.js");
export const nodeUdp = () => import("./carriers/node_udp.js");
