import { TorqueError } from "../error.js";
import type { EngineOptions } from "../engine/messages.js";
import type { Carrier, CarrierListener } from "./carrier.js";
import { openWebSocket } from "./websocket.js";
import { openWebTransport } from "./webtransport.js";

/** How long to wait for a description: milliseconds. */
const DESCRIPTION_TIME = 5_000;
/** Milliseconds that a carrier has before the next one is tried as well. */
const HEAD_START = 300;

/** What a gateway says of itself (spec/GATEWAY.md 6). */
interface Description {
  version: number;
  origin_allowed: boolean;
  certificate_hashes?: string[];
  webtransport_port?: number;
}

/** Begins a session with the gateway at a URL, by the first carrier that is welcomed. */
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
  const watch = new AbortController();
  try {
    return await openAt(base, options, listener, watchPolicy(base, watch.signal), signal);
  } finally {
    watch.abort();
  }
}

async function openAt(
  base: URL,
  options: Pick<EngineOptions, "carriers" | "serverCertificateHashes" | "origin">,
  listener: CarrierListener,
  violation: Violation,
  signal: AbortSignal,
): Promise<Carrier> {
  // Over https a gateway has certificates that somebody vouches for, as a rule, and need not be asked first.
  let description = base.protocol === "http:" ? await describe(base, violation, signal) : undefined;
  const hashes = (options.serverCertificateHashes ?? description?.certificate_hashes ?? []).map(fromBase64);
  const port = description?.webtransport_port ?? Number(base.port || 443);
  const open = {
    webtransport: (signal: AbortSignal) => openWebTransport(base, port, hashes, listener, signal),
    websocket: (signal: AbortSignal) => openWebSocket(base, listener, signal),
  };
  const carriers = options.carriers ?? ["webtransport", "websocket"];
  const usable = carriers.filter((carrier) => carrier !== "webtransport" || typeof WebTransport !== "undefined");
  let failure: unknown;
  try {
    return await race(usable.map((carrier) => open[carrier]), signal);
  } catch (error) {
    failure = error;
  }
  // Nothing that is asked now could say more.
  if (signal.aborted || isTold(failure)) throw failure;
  description ??= await describe(base, violation, signal);
  if (!description.origin_allowed) {
    const who = options.origin ? `pages of ${options.origin}` : 'programs: they have UDP, as with bind: "0.0.0.0:28000"';
    throw new TorqueError("origin_not_allowed", `the gateway ${base.host} is not for ${who}`);
  }
  const blocked = await violation();
  if (blocked) throw blocked;
  if (failure === undefined) throw new TorqueError("no_webtransport", "this browser has no WebTransport, or the page is not secure");
  throw new TorqueError(
    "gateway_unreachable",
    `${base.host} answers, but not over ${carriers.join(" or ")}: ${(failure as Error).message}. ` +
      "Is its UDP port open, and is its certificate the one that is expected?",
  );
}

/**
 * Tries one way after another, each when the one before has failed or has had its head start: the first that is there counts. Where
 * UDP is blocked nothing fails for seconds. Rejects when all that were tried have failed: with what the gateway says of it, or else with the
 * failure of the first, which should have worked; `undefined` if there was none.
 */
function race(ways: readonly ((signal: AbortSignal) => Promise<Carrier>)[], signal: AbortSignal): Promise<Carrier> {
  return new Promise((resolve, reject) => {
    const attempts: AbortController[] = [];
    const failures: unknown[] = [];
    let running = 0;
    /** Why the gateway gives no session. */
    let told: unknown;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    const stop = (settle: () => void) => {
      isOver = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      settle();
      for (const attempt of attempts) attempt.abort();
    };
    const abort = () => stop(() => reject(signal.reason));
    const next = () => {
      clearTimeout(timer);
      const index = attempts.length;
      const way = ways[index];
      if (isOver || !way) return;
      const attempt = new AbortController();
      attempts.push(attempt);
      running++;
      timer = setTimeout(next, HEAD_START);
      way(attempt.signal).then(
        (carrier) => {
          // Another was there before.
          if (isOver) carrier.close();
          else stop(() => resolve(carrier));
        },
        (error: unknown) => {
          if (isOver) return;
          failures[index] = error;
          running--;
          if (isTold(error)) told ??= error;
          // It would say the same to those that follow; one that is under way may have got a session before.
          if (told) clearTimeout(timer);
          else next();
          if (running === 0) stop(() => reject(told ?? failures[0]));
        },
      );
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort);
    if (ways.length === 0) stop(() => reject(undefined));
    else next();
  });
}

/** Returns whether an error was a decision of the gateway, and not just a carrier that did not work. */
function isTold(error: unknown): boolean {
  return error instanceof TorqueError && !/^gateway_(lost|silent)$/.test(error.code);
}

/** Notices whether the page's Content-Security-Policy forbids reaching the gateway. */
type Violation = () => Promise<TorqueError | undefined>;

/** Looks out for that: the errors that come of it do not say so. */
function watchPolicy(base: URL, signal: AbortSignal): Violation {
  let forbidden: string | undefined;
  const note = ({ effectiveDirective, blockedURI }: SecurityPolicyViolationEvent) => {
    if (effectiveDirective === "connect-src" && blockedURI.includes(base.hostname)) forbidden ??= blockedURI;
  };
  // There are no policies in Node.
  globalThis.addEventListener?.("securitypolicyviolation", note, { signal });
  return async () => {
    // It is told after the error.
    await new Promise((resolve) => setTimeout(resolve));
    if (forbidden === undefined) return undefined;
    const sources = new Set([base.origin, `https://${base.host}`, base.origin.replace(/^http/, "ws")]);
    return new TorqueError(
      "blocked_by_csp",
      `the Content-Security-Policy of this page does not allow reaching ${forbidden}: add ${[...sources].join(" ")} to its connect-src`,
    );
  };
}

async function describe(base: URL, violation: Violation, signal: AbortSignal): Promise<Description> {
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
    throw (await violation()) ?? new TorqueError("gateway_unreachable", `no gateway answers at ${base.host}: ${String(error)}`);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
