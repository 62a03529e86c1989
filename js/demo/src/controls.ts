/** What the player wants, from keys, mouse or fingers. */

import type { Control } from "./wire.js";

const KEYS: Record<string, "left" | "right" | "up" | "down" | "fire"> = {
  KeyA: "left",
  ArrowLeft: "left",
  KeyD: "right",
  ArrowRight: "right",
  KeyW: "up",
  ArrowUp: "up",
  KeyS: "down",
  ArrowDown: "down",
  Space: "fire",
};
/** CSS pixels of a finger's way to full throttle, and up to which it has not moved. */
const STICK = 56;
const STILL = 10;

/** A finger on the field, in its CSS pixels. */
export interface Finger {
  readonly role: "fly" | "fire";
  readonly startX: number;
  readonly startY: number;
  x: number;
  y: number;
}

export interface Aiming {
  /** Where the mouse points, in CSS pixels of the field; nothing while keys or fingers aim. */
  readonly mouse: { readonly x: number; readonly y: number } | undefined;
  /** The direction that a finger or the keys give, in radians; nothing if none. */
  readonly direction: number | undefined;
  /** True if aiming needs help: there is no mouse. */
  readonly assisted: boolean;
}

export class Controls {
  readonly fingers = new Map<number, Finger>();
  readonly #field: HTMLElement;
  readonly #held = new Set<string>();
  #mouse: { x: number; y: number } | undefined;
  #mouseFires = false;

  /** `talk`: the player wants to say something. */
  constructor(field: HTMLElement, talk: () => void) {
    this.#field = field;
    field.addEventListener("keydown", (event) => this.#key(event, talk));
    field.addEventListener("keyup", (event) => {
      const key = KEYS[event.code];
      if (key) this.#held.delete(event.code);
    });
    field.addEventListener("blur", () => this.release());
    addEventListener("blur", () => this.release());
    field.addEventListener("pointerdown", (event) => this.#down(event));
    field.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"] as const) {
      field.addEventListener(name, (event) => this.#up(event));
    }
    field.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  #key(event: KeyboardEvent, talk: () => void): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.code === "Enter") {
      event.preventDefault();
      talk();
    }
    const key = KEYS[event.code];
    if (!key) return;
    event.preventDefault();
    this.#held.add(event.code);
    // A player who flies with arrows has no hand at the mouse.
    if (event.code.startsWith("Arrow")) this.#mouse = undefined;
  }

  #place(event: PointerEvent): { x: number; y: number } {
    const box = this.#field.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #down(event: PointerEvent): void {
    this.#field.focus({ preventScroll: true });
    event.preventDefault();
    const { x, y } = this.#place(event);
    if (event.pointerType === "mouse" || event.pointerType === "pen") {
      this.#mouse = { x, y };
      this.#mouseFires = true;
      return;
    }
    this.#mouse = undefined;
    this.#field.setPointerCapture(event.pointerId);
    const flies = [...this.fingers.values()].some((finger) => finger.role === "fly");
    const role = x < this.#field.clientWidth / 2 && !flies ? "fly" : "fire";
    this.fingers.set(event.pointerId, { role, startX: x, startY: y, x, y });
  }

  #move(event: PointerEvent): void {
    const place = this.#place(event);
    const finger = this.fingers.get(event.pointerId);
    if (finger) Object.assign(finger, place);
    else if (event.pointerType !== "touch") this.#mouse = place;
  }

  #up(event: PointerEvent): void {
    this.fingers.delete(event.pointerId);
    if (event.pointerType !== "touch") this.#mouseFires = false;
  }

  /** Lets go of everything. */
  release(): void {
    this.#held.clear();
    this.fingers.clear();
    this.#mouseFires = false;
  }

  #has(key: string): boolean {
    return [...this.#held].some((code) => KEYS[code] === key);
  }

  /** True while the player fires. */
  get fires(): boolean {
    return this.#mouseFires || this.#has("fire") || [...this.fingers.values()].some((finger) => finger.role === "fire");
  }

  /** The throttle, -1 to 1 each way. */
  get throttle(): { right: number; down: number } {
    const finger = [...this.fingers.values()].find((finger) => finger.role === "fly");
    if (finger) {
      const [dx, dy] = [finger.x - finger.startX, finger.y - finger.startY];
      const way = Math.hypot(dx, dy);
      if (way < STILL / 2) return { right: 0, down: 0 };
      const throttle = Math.min(1, way / STICK) / way;
      return { right: dx * throttle, down: dy * throttle };
    }
    const axis = (less: string, more: string) => Number(this.#has(more)) - Number(this.#has(less));
    return { right: axis("left", "right"), down: axis("up", "down") };
  }

  /** Where the player aims. */
  get aiming(): Aiming {
    if (this.#mouse) return { mouse: this.#mouse, direction: undefined, assisted: false };
    const finger = [...this.fingers.values()].find((finger) => finger.role === "fire");
    if (finger) {
      const [dx, dy] = [finger.x - finger.startX, finger.y - finger.startY];
      if (Math.hypot(dx, dy) > STILL) return { mouse: undefined, direction: Math.atan2(dy, dx), assisted: false };
    }
    const { right, down } = this.throttle;
    const direction = right === 0 && down === 0 ? undefined : Math.atan2(down, right);
    return { mouse: undefined, direction, assisted: true };
  }
}

/** A control for the wire. */
export function controlOf(throttle: { right: number; down: number }, direction: number): Control {
  const byte = (part: number) => Math.round(Math.max(-1, Math.min(1, part)) * 127);
  const turn = direction / (2 * Math.PI);
  return {
    right: byte(throttle.right),
    down: byte(throttle.down),
    aim: Math.floor((turn - Math.floor(turn)) * 65_536) & 0xffff,
  };
}
