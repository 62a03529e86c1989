import type { Client } from "./client.js";
import type { ClientConnection } from "./client_connection.js";
import type { CloseCode } from "./codes.js";
import type { Data } from "./data.js";
import { TorqueError } from "./error.js";
import type { ConnectOptions } from "./options.js";
import { keyIn } from "./target.js";
import { type Judgement, judge, type Trust } from "./trust.js";

/** What a socket allows and does in introductions (spec/API.md 8). All of it may be left out. */
export interface IntroductionOptions {
  /** Lets connected sockets ask to be introduced to one another (default false). Without it `introduce` fails with `not_an_introducer`. */
  introduces?: boolean;
  /** Milliseconds that an introducer waits for the second party, and for its application (default 30,000; at most 600,000). */
  wait?: number;
  /** Introductions at an introducer that are under way, or kept for a while after (default 4,096). */
  records?: number;
  /** How many of them one connection may have asked for (default 32). */
  recordsPerConnection?: number;
  /** Circuits of an introducer at a time (default 1,024). */
  circuits?: number;
  /** Bytes a second that all its circuits carry together (default 12,500,000). */
  circuitsRate?: number;
  /** Milliseconds that a party tries direct paths before it takes a circuit (default 2,000). */
  circuitAfter?: number;
  /** Milliseconds that a party looks for a path (default 25,000). */
  pathWait?: number;
  /** In Node: tells introducers the addresses of this machine (default true). They pass them on only to parties with the same public address. */
  localAddresses?: boolean;
  /**
   * In Node: when a party tries many ports, because the NATs depend on the destination (spec/INTRODUCTIONS.md 9.2): once the other side's key is
   * known to be the right one (default), always, or never.
   */
  hardNat?: "verified" | "always" | "never";
  /** Attempts of a party that are under way at a time, and how many it may begin in a minute (default 64). */
  attempts?: number;
}

/** The limits of a circuit, each for each direction. What is above a rate is dropped. */
export interface Relay {
  /** Bytes a second (default 128,000). */
  bytesPerSecond?: number;
  /** Datagrams a second (default 300). */
  datagramsPerSecond?: number;
  /** Bytes in all (default: no bound). */
  bytes?: number;
  /** Milliseconds that it lives (default: 24 hours). It ends sooner if it carries nothing for two minutes. */
  lifetime?: number;
}

/** How two sockets are introduced. */
export interface IntroduceOptions {
  /** Lends them a circuit through this socket while they have no direct path: `true`, or its limits. It cannot read what it passes on. Default: none. */
  relay?: boolean | Relay;
}

/** Which ways an introduced connection may take. */
export interface IntroducedPaths {
  /**
   * Whether a circuit is taken, if the introducer lends one: never; when no direct path was found in time (default); or at once, if both
   * parties say so, and a direct path as soon as there is one.
   */
  relay?: "never" | "fallback" | "at-once";
  /** Whether direct paths are taken (default true). Without them the other party does not learn this one's address. */
  direct?: boolean;
}

/** How to connect, as initiator, to the host that an introducer names. `trust` is needed: `"anyone"` takes any key that the introducer names. */
export interface IntroducedOptions extends ConnectOptions, IntroducedPaths {
  isHost?: false;
}

/** How to be connected to, as host. */
export interface IntroducedHostOptions extends IntroducedPaths {
  isHost: true;
  /** Data for the initiator's application, at most 480 bytes; it sees them before it trusts the key. The introducer can read them, and could make them up. */
  introducedData?: Data;
  /** Gives the attempt up, or closes the connection. */
  signal?: AbortSignal;
}

/** How an introduction ended. */
export type IntroductionResult = "direct" | "relayed" | "became_direct" | "never_asked" | "unknown" | "failed";

/** What became of an introduction, by the parties' word. */
export interface IntroductionOutcome<Connection> {
  /** As `introduce` returned it. */
  introduction: string;
  /** The parties. One may have ended. */
  initiator: Connection;
  host: Connection;
  /**
   * `direct`; or `relayed` and after that perhaps `became_direct`, which comes alone if one party tells it before the other tells anything; `failed`; `never_asked`, if a party did not ask in time; `unknown`, if
   * neither party has said.
   */
  result: IntroductionResult;
  /** Why it failed. */
  code: CloseCode | undefined;
  /** Who did not ask. */
  neverAsked: ("initiator" | "host")[];
  /** Milliseconds from the request until the connection, or the end. */
  took: number;
}

/** The most bytes of introduced_data. */
const MAX_INTRODUCED_DATA = 480;

/** By their numbers. */
const RELAYING = ["never", "fallback", "at-once"] as const;

/** How many introductions are remembered, to say whose they were: as many as a core keeps. */
const MAX_REMEMBERED = 4_096;

/** Begins, at a party, to be introduced, as host with introduced_data or as initiator with connect_data. @internal */
export function beginIntroduced(
  client: Client,
  introducer: ClientConnection | undefined,
  remote: number,
  options: IntroducedPaths & ({ isHost: true } | { isHost?: false; settings?: string; judgement: IntroducedJudgement }),
  data: Uint8Array,
): ClientConnection {
  const { relay: word = "fallback", direct = true, isHost = false } = options;
  const relay = RELAYING.indexOf(word);
  if (relay < 0) throw new TorqueError("invalid_argument", `relay: ${word}: there are ${RELAYING.join(", ")}`);
  if (isHost && data.length > MAX_INTRODUCED_DATA) {
    throw new TorqueError("too_large", `${data.length} bytes: introduced data has at most ${MAX_INTRODUCED_DATA}`);
  }
  const { settings = "", judgement } = options.isHost ? { judgement: { trust: "anyone", pin: "" } as const } : options;
  const { trust, pin } = judgement;
  const through = usable(client, introducer).id;
  return client.begin((id) => ({ kind: "connect_introduced", id, introducer: through, remote, isHost, relay, direct, settings, trust, pin, data }));
}

/** Introduces two others; resolves with the introduction's id. @internal */
export async function introduce(
  client: Client,
  first: ClientConnection | undefined,
  second: ClientConnection | undefined,
  { relay = false }: IntroduceOptions,
): Promise<string> {
  const [initiator, host] = [usable(client, first), usable(client, second)];
  const limits = relay === true ? {} : relay || undefined;
  const remember = (introduction: string) => {
    const { introductions } = client;
    introductions.delete(introduction);
    introductions.set(introduction, { initiator, host });
    if (introductions.size > MAX_REMEMBERED) introductions.delete(introductions.keys().next().value!);
  };
  const id = await client.ask(
    (request) => ({ kind: "introduce", initiator: initiator.id, host: host.id, relay: limits, request }),
    (introduction) => remember(introduction as string),
  );
  return id as string;
}

/** Refuses to introduce two others. @internal */
export async function refuseIntroduction(client: Client, first: ClientConnection | undefined, second: ClientConnection | undefined): Promise<void> {
  const [from, to] = [usable(client, first).id, usable(client, second).id];
  await client.ask((request) => ({ kind: "refuse_introduction", from, to, request }));
}

/** A connection through which, or of which, introductions can be asked for. */
function usable(client: Client, connection: ClientConnection | undefined): ClientConnection {
  if (!client.hasIntroductions) {
    throw new TorqueError("no_introductions", "this socket was made without introductions: make it with the option introductions: true");
  }
  if (client.end) throw new TorqueError(client.end.code, `the socket is over: ${client.end.message}`);
  if (!connection?.isOpen || client.connection(connection.id) !== connection) {
    throw new TorqueError("closed", "introductions need an established connection of this socket");
  }
  return connection;
}

/** What to do with a host that an introducer names. @internal */
export type IntroducedJudgement = Omit<Judgement, "url"> & {
  /** The only key to take; else empty. */
  pin: string;
};

/** As `judge`: here is no URL that could pin the host's key. @internal */
export function judgeIntroduced(trust: Trust | undefined): IntroducedJudgement {
  if (trust === undefined) {
    throw new TorqueError(
      "no_trust",
      'nothing says which host to trust: give `trust`: a key or a list of keys ("tk1…"), a function that decides about the key that the host shows ' +
        '((host) => isKnown(host.publicKey)), or "anyone" for any key that the introducer names',
    );
  }
  const { url, ...judgement } = judge("torque://introduced", trust);
  return { ...judgement, pin: keyIn(url) };
}
