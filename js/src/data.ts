import { TorqueError } from "./error.js";

/** Bytes, or a text that is sent as UTF-8. */
export type Data = ArrayBufferView | ArrayBuffer | string;

/** Longest reason of a close, and longest accept_data, in bytes (spec/API.md 4). @internal */
export const MAX_SHORT_DATA = 511;

const encoder = new TextEncoder();

/** Copies data of the application, which may write to its buffer, or give it away, at once. @internal */
export function copyOf(data: Data | undefined, max = Infinity): Uint8Array {
  const bytes = ownBytes(data);
  if (bytes.length > max) throw new TorqueError("too_large", `${bytes.length} bytes: at most ${max} go here`);
  return bytes;
}

function ownBytes(data: Data | undefined): Uint8Array {
  if (data === undefined) return new Uint8Array();
  if (typeof data === "string") return encoder.encode(data);
  // Not `slice`, which in Node's Buffer is a view of the same bytes.
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  throw new TorqueError("invalid_argument", "data is a text, an ArrayBuffer, or a view of one, such as a Uint8Array");
}
