import type { Carrier, CarrierListener } from "../carriers/carrier.js";
import { TorqueError } from "../error.js";
import { isNode } from "../platform.js";
import type { EngineOptions } from "./messages.js";

/** Opens the carrier that `bind` asks for: of several the first that works; if none does, the first one's failure is told. */
export async function openCarrier(options: EngineOptions, listener: CarrierListener, signal: AbortSignal): Promise<Carrier> {
  let failure: unknown;
  for (const bind of options.bind) {
    try {
      return await openAt(bind, options, listener, signal);
    } catch (error) {
      failure ??= error;
      if (signal.aborted) break;
    }
  }
  throw failure;
}

/** Returns whether a place to bind to is a gateway. */
export function isGateway(bind: string, origin: string): boolean {
  return /^https?:/.test(bind) || (bind === "" && origin !== "");
}

/** Each kind of carrier is loaded only where it is used. */
async function openAt(bind: string, options: EngineOptions, listener: CarrierListener, signal: AbortSignal): Promise<Carrier> {
  const { origin } = options;
  if (isGateway(bind, origin)) {
    const { openGateway } = await import("../carriers/open_gateway.js");
    return openGateway(bind || origin, options, listener, signal);
  }
  if (isNode) {
    const { openNodeUdp } = await import("../carriers/node_udp.js");
    return openNodeUdp(bind, options.isHost, listener);
  }
  const { hasDirectSockets, openDirectUdp } = await import("../carriers/direct_udp.js");
  if (hasDirectSockets()) return openDirectUdp(bind, listener);
  throw new TorqueError("invalid_argument", `${bind}: in a page a socket is bound to the URL of a gateway, https://…`);
}
