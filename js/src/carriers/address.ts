/** IP addresses and ports as text: `192.0.2.1:28000`, `[2001:db8::1]:28000`. */

import { TorqueError } from "../error.js";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** An IPv6 address gets brackets. */
export function addressText(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Reads such a text; `undefined` if it is not one. */
export function parseAddress(text: string): Address | undefined {
  const at = text.lastIndexOf(":");
  const host = text.startsWith("[") ? text.slice(1, at - 1) : text.slice(0, at);
  const port = Number(text.slice(at + 1));
  return at > 0 && port > 0 ? { host, port } : undefined;
}

/** Returns whether an IP address stands for all addresses of a machine: `0.0.0.0`, `::`, `::ffff:0.0.0.0`. */
export function isUnspecified(host: string): boolean {
  return /^(::ffff:)?[0:.]+$/i.test(host);
}

/** `192.0.2.1:28000`, `[2001:db8::1]:28000`, or nothing. `0.0.0.0` and `[::]` are all addresses, of both families. */
export function parseBind(bind: string): Address {
  if (bind === "") return { host: "", port: 0 };
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[^\]]+)?)\]|([0-9.]+|localhost)):(\d{1,5})$/.exec(bind);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new TorqueError("invalid_argument", `${bind}: here a socket is bound to an address and port, 0.0.0.0:28000 or [::]:28000`);
  }
  return { host: match[1] ?? match[2] ?? "", port };
}
