/** A context before a datagram: QUIC's variable-length integers, below 2^30 (RFC 9000, section 16). */

/** How many bytes a context takes. */
export function varintLength(context: number): 1 | 2 | 4 {
  return context < 0x40 ? 1 : context < 0x4000 ? 2 : 4;
}

/** A message of a context and a datagram. */
export function withContext(context: number, datagram: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = varintLength(context);
  const message = new Uint8Array(length + datagram.length);
  const prefix = length === 1 ? 0 : length === 2 ? 0x40 : 0x80;
  for (let at = length - 1, rest = context; at >= 0; at--, rest = Math.floor(rest / 256)) message[at] = rest & 0xff;
  message[0]! |= prefix;
  message.set(datagram, length);
  return message;
}

/** Reads the context before a datagram, and how many bytes it takes; `undefined` if the message has none. */
export function readContext(message: Uint8Array): { context: number; length: number } | undefined {
  const first = message[0];
  if (first === undefined || first >= 0xc0) return undefined;
  const length = first < 0x40 ? 1 : first < 0x80 ? 2 : 4;
  if (message.length < length) return undefined;
  let context = first & 0x3f;
  for (let at = 1; at < length; at++) context = context * 256 + message[at]!;
  return { context, length };
}
