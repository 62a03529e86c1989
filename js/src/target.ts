import { TorqueError } from "./error.js";

/** Where to connect to: a URL, `torque://tk1…@game.example:28000` (the key and the port may be left out), or its parts. */
export type Target = string | URL | { host: string; port?: number; publicKey?: string };

/** Writes the target as a URL. The core reads it, and says what is wrong with it. @internal */
export function urlOf(target: Target): string {
  if (typeof target === "string" || target instanceof URL) return String(target);
  const { host, port, publicKey } = target ?? {};
  if (typeof host !== "string") throw new TorqueError("invalid_argument", "a target is a URL, torque://…, or { host, port }");
  const name = host.includes(":") && !host.startsWith("[") ? `[${host.replace(/%(?!25)/, "%25")}]` : host;
  return `torque://${publicKey ? `${publicKey}@` : ""}${name}${port === undefined ? "" : `:${port}`}`;
}

/** Finds the key that a URL pins; empty if it has none. @internal */
export function keyIn(url: string): string {
  return /^torque:\/\/([^@/]*)@/i.exec(url)?.[1] ?? "";
}
