/** Bytes, or a text that is sent as UTF-8. */
export type Data = Uint8Array | ArrayBuffer | string;

const encoder = new TextEncoder();

/** The bytes of what an application hands in. @internal */
export function bytesOf(data: Data | undefined): Uint8Array {
  if (data === undefined) return new Uint8Array();
  if (typeof data === "string") return encoder.encode(data);
  return data instanceof Uint8Array ? data : new Uint8Array(data);
}
