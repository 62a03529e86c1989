import type { Carrier, CarrierListener } from "../carriers/carrier.js";
import type { EngineOptions } from "./messages.js";

const isNode = typeof process !== "undefined" && process.versions?.node !== undefined;

/** Opens the carrier that `bind` asks for. Each is loaded only where it is used. */
export async function openCarrier(options: EngineOptions, listener: CarrierListener, signal: AbortSignal): Promise<Carrier> {
  const { bind, origin } = options;
  if (/^https?:/.test(bind) || (bind === "" && origin)) {
    const { openGateway } = await import("../carriers/open_gateway.js");
    return openGateway(bind || origin, options, listener, signal);
  }
  if (isNode) {
    const { openNodeUdp } = await import("../carriers/node_udp.js");
    return openNodeUdp(bind, options.isHost, listener);
  }
  const { hasDirectSockets, openDirectUdp } = await import("../carriers/direct_udp.js");
  if (hasDirectSockets()) return openDirectUdp(bind, listener);
  const { TorqueError } = await import("../error.js");
  throw new TorqueError("invalid_argument", `${bind}: in a page a socket is bound to the URL of a gateway, https://…`);
}
