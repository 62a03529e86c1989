import { TorqueError } from "../error.js";
import type { EngineOptions } from "../engine/messages.js";
import type { Carrier, CarrierListener } from "./carrier.js";
import { openWebSocket } from "./websocket.js";
import { openWebTransport } from "./webtransport.js";

/** How long to wait for a description: milliseconds. */
const DESCRIPTION_TIME = 5_000;

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
  options: Pick<EngineOptions, "carriers" | "serverCertificateHashes" | "origin">,
  listener: CarrierListener,
  signal: AbortSignal,
): Promise<Carrier> {
  let base: URL;
  try {
    base = new URL(url);
  } catch {
    throw new TorqueError("invalid_argument", `${url}: a gateway's URL is written https://gateway.example:4433 (or http:// in development)`);
  }
  const carriers = options.carriers ?? ["webtransport", "websocket"];
  // Over https a gateway has certificates that somebody vouches for, as a rule, and need not be asked first.
  let description = base.protocol === "http:" ? await describe(base, signal) : undefined;
  let failure: unknown;
  for (const carrier of carriers) {
    signal.throwIfAborted();
    try {
      if (carrier === "websocket") {
        return await openWebSocket(base, listener, signal);
      }
      if (typeof WebTransport === "undefined") continue;
      const hashes = options.serverCertificateHashes ?? description?.certificate_hashes ?? [];
      const port = description?.webtransport_port ?? Number(base.port || 443);
      return await openWebTransport(base, port, hashes.map(fromBase64), listener, signal);
    } catch (error) {
      // A gateway that says why it gives no session says the same over the other carrier.
      if (isTold(error)) throw error;
      // The first one is the one that should have worked.
      failure ??= error;
    }
  }
  description ??= await describe(base, signal);
  if (!description.origin_allowed) {
    const who = options.origin ? `pages of ${options.origin}` : 'programs: they have UDP, as with bind: "0.0.0.0:28000"';
    throw new TorqueError("origin_not_allowed", `the gateway ${base.host} is not for ${who}`);
  }
  failure ??= new TorqueError("no_webtransport", "this browser has no WebTransport, or the page is not secure");
  if (isTold(failure)) throw failure;
  throw new TorqueError(
    "gateway_unreachable",
    `${base.host} answers, but not over ${carriers.join(" or ")}: ${(failure as Error).message}. ` +
      "Is its UDP port open, and is its certificate the one that is expected?",
  );
}

/** Whether an error is what somebody has said, and not just that a carrier did not work. */
function isTold(error: unknown): boolean {
  return error instanceof TorqueError && !/^gateway_(lost|silent)$/.test(error.code);
}

async function describe(base: URL, signal: AbortSignal): Promise<Description> {
  const url = new URL("/.well-known/torque-gateway", base);
  const controller = new AbortController();
  const stop = () => controller.abort();
  const timer = setTimeout(stop, DESCRIPTION_TIME);
  signal.addEventListener("abort", stop);
  try {
    const response = await fetch(url, { cache: "no-store", signal: controller.signal });
    if (!response.ok) throw new Error(`${url.href}: ${response.status} ${response.statusText}`);
    return (await response.json()) as Description;
  } catch (error) {
    throw new TorqueError("gateway_unreachable", `no gateway answers at ${base.host}: ${String(error)}`);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
