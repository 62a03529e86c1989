/** The control messages of a session with a gateway, and their bytes (spec/GATEWAY.md 3). */

/** From the gateway. */
export type FromGateway =
  | { kind: "welcome"; version: number; gatewayKey: Uint8Array; address: string }
  | { kind: "opened"; context: number; address: string }
  | { kind: "refused"; context: number; code: number; reason: string }
  | { kind: "context"; context: number; address: string }
  | { kind: "attested"; request: number; token: Uint8Array }
  | { kind: "alive" }
  | { kind: "closing"; code: number; reason: string }
  | { kind: "forgotten"; context: number }
  | { kind: "draining"; time: number };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** *open*: a context for a host and port. */
export function open(context: number, host: string, port: number): Uint8Array {
  const name = encoder.encode(host);
  const message = new Uint8Array(1 + 4 + 2 + name.length + 2);
  const view = new DataView(message.buffer);
  message[0] = 0x01;
  view.setUint32(1, context);
  view.setUint16(5, name.length);
  message.set(name, 7);
  view.setUint16(7 + name.length, port);
  return message;
}

/** *forget*: a context is not used any more. */
export function forget(context: number): Uint8Array {
  const message = new Uint8Array(5);
  message[0] = 0x02;
  new DataView(message.buffer).setUint32(1, context);
  return message;
}

/** *attest*: asks for an origin token. */
export function attest(request: number, context: number, initiatorKey: Uint8Array, hostKey: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + 4 + 4 + 32 + 32);
  const view = new DataView(message.buffer);
  message[0] = 0x03;
  view.setUint32(1, request);
  view.setUint32(5, context);
  message.set(initiatorKey, 9);
  message.set(hostKey, 41);
  return message;
}

/** *farewell*: when the page is gone, one may come that shows this key. */
export function farewell(key: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + key.length);
  message[0] = 0x04;
  message.set(key, 1);
  return message;
}

/** Reads a message of the gateway; `undefined` for a kind that this version does not know. Throws a RangeError if it is malformed. */
export function read(message: Uint8Array): FromGateway | undefined {
  const fields = new Reader(message);
  const known = readFields(fields.u8(), fields);
  if (known && !fields.isEmpty()) throw new RangeError("a control message is too long");
  return known;
}

function readFields(kind: number, fields: Reader): FromGateway | undefined {
  switch (kind) {
    case 0x80:
      return { kind: "welcome", version: fields.u8(), gatewayKey: fields.bytes(32).slice(), address: fields.address() };
    case 0x81:
      return { kind: "opened", context: fields.u32(), address: fields.address() };
    case 0x82:
      return { kind: "refused", context: fields.u32(), code: fields.u8(), reason: fields.text() };
    case 0x83:
      return { kind: "context", context: fields.u32(), address: fields.address() };
    case 0x84:
      return { kind: "attested", request: fields.u32(), token: fields.bytes(fields.u16()).slice() };
    case 0x85:
      return { kind: "alive" };
    case 0x86:
      return { kind: "closing", code: fields.u8(), reason: fields.text() };
    case 0x87:
      return { kind: "forgotten", context: fields.u32() };
    case 0x88:
      return { kind: "draining", time: fields.u32() };
    default:
      return undefined;
  }
}

class Reader {
  readonly #view: DataView;
  #at = 0;

  constructor(readonly message: Uint8Array) {
    this.#view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#skip(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#skip(4));
  }

  bytes(length: number): Uint8Array {
    const at = this.#skip(length);
    return this.message.subarray(at, at + length);
  }

  text(): string {
    return decoder.decode(this.bytes(this.u16()));
  }

  /** As text: `1.2.3.4:5` or `[::1]:5`. */
  address(): string {
    const family = this.u8();
    if (family === 4) return `${this.bytes(4).join(".")}:${this.u16()}`;
    if (family !== 6) throw new RangeError("an address is of an unknown family");
    const groups = Array.from({ length: 8 }, () => this.u16());
    return `[${ipv6Text(groups)}]:${this.u16()}`;
  }

  isEmpty(): boolean {
    return this.#at === this.message.length;
  }

  #skip(length: number): number {
    const at = this.#at;
    if (at + length > this.message.length) throw new RangeError("a control message is too short");
    this.#at = at + length;
    return at;
  }
}

/** An IPv6 address as RFC 5952 writes it: the longest run of zeros, of two at least, as `::`. */
export function ipv6Text(groups: number[]): string {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.start < 0) return hex.join(":");
  return `${hex.slice(0, best.start).join(":")}::${hex.slice(best.start + best.length).join(":")}`;
}
