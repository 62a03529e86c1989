import { TorqueError } from "../error.js";
import type { SocketOptions } from "../options.js";
import type { Carrier, CarrierListener } from "./carrier.js";
import { openWebSocket } from "./websocket.js";
import { openWebTransport } from "./webtransport.js";

/** What a gateway says of itself (spec/GATEWAY.md 6). */
interface Description {
  version: number;
  origin_allowed: boolean;
  certificate_hashes?: string[];
  webtransport_port?: number;
}

/** Begins a session with the gateway at a URL, by the first carrier that works. */
export async function openGateway(
  url: string,
  options: Pick<SocketOptions, "carriers" | "serverCertificateHashes">,
  listener: CarrierListener,
): Promise<Carrier> {
  const base = new URL(url);
  if (base.protocol !== "https:" && base.protocol !== "http:") {
    throw new TorqueError("invalid_argument", `${url}: a gateway's URL begins with https:// (or http:// in development)`);
  }
  const carriers = options.carriers ?? ["webtransport", "websocket"];
  // Over https a gateway has certificates that somebody vouches for, as a rule, and need not be asked first.
  let description = base.protocol === "http:" ? await describe(base) : undefined;
  let failure: unknown;
  for (const carrier of carriers) {
    try {
      if (carrier === "websocket") {
        const scheme = base.protocol === "https:" ? "wss" : "ws";
        return await openWebSocket(`${scheme}://${base.host}/torque`, listener);
      }
      if (typeof WebTransport === "undefined") {
        throw new TorqueError("no_webtransport", "this browser has no WebTransport, or the page is not secure");
      }
      const hashes = options.serverCertificateHashes ?? description?.certificate_hashes ?? [];
      const port = description?.webtransport_port ?? Number(base.port || 443);
      return await openWebTransport(`https://${base.hostname}:${port}/torque`, hashes.map(fromBase64), listener);
    } catch (error) {
      // The first one is the one that should have worked.
      failure ??= error;
    }
  }
  description ??= await describe(base);
  if (!description.origin_allowed) {
    throw new TorqueError("origin_not_allowed", `the gateway ${base.host} is not for pages of ${location.origin}`);
  }
  if (failure instanceof TorqueError) throw failure;
  throw new TorqueError(
    "gateway_unreachable",
    `${base.host} answers, but not over ${carriers.join(" or ")}: ${String(failure)}. ` +
      "Is its UDP port open, and is its certificate the one that is expected?",
  );
}

async function describe(base: URL): Promise<Description> {
  const url = new URL("/.well-known/torque-gateway", base);
  let response: Response;
  try {
    response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(5_000) });
  } catch (error) {
    throw new TorqueError("gateway_unreachable", `no gateway answers at ${base.host}: ${String(error)}`);
  }
  if (!response.ok) throw new TorqueError("gateway_unreachable", `${url.href}: ${response.status} ${response.statusText}`);
  return (await response.json()) as Description;
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
