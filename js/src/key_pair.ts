import type { Core } from "./engine/core.js";

/** An identity: a public key, `tk1…`, and the secret that proves it. A program that holds the secret is this identity. */
export class KeyPair {
  readonly #secretText: string;

  private constructor(
    secretText: string,
    /** The public key, `tk1…`: what others know this identity by. */
    readonly publicKey: string,
  ) {
    this.#secretText = secretText;
  }

  /** Makes a fresh key pair. */
  static async generate(): Promise<KeyPair> {
    const core = await loadCore();
    const secretText = core.generateKeyPair();
    return new KeyPair(secretText, core.publicKeyOf(secretText));
  }

  /** Reads a key pair from its secret text, `ts1…`. Rejects with a {@link TorqueError} if it is not one. */
  static async fromSecretText(secretText: string): Promise<KeyPair> {
    return new KeyPair(secretText, (await loadCore()).publicKeyOf(secretText));
  }

  /** The secret text, `ts1…`, to be kept. Anyone who reads it can pass for this identity. */
  toSecretText(): string {
    return this.#secretText;
  }
}

/** Pages without key pairs of their own need no core outside the worker. */
async function loadCore(): Promise<Core> {
  const { Core } = await import("./engine/core.js");
  return Core.load();
}
