/** A log for people: what happened, and how long after the beginning. */

import { make } from "./dom.js";

const LINES = 120;

export class Log {
  #begun = performance.now();

  constructor(readonly list: HTMLElement) {}

  /** Counts time from now on. */
  restart(): void {
    this.#begun = performance.now();
  }

  /** Adds a line. Strings in it are text; pairs are text with a class (`b` is emphasis). */
  add(parts: (string | { b: string })[], className = ""): void {
    const line = make("li", className);
    line.append(make("time", "", ago(performance.now() - this.#begun)));
    const text = make("span");
    for (const part of parts) text.append(typeof part === "string" ? part : make("b", "", part.b));
    line.append(text);
    const atEnd = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - 8;
    this.list.append(line);
    while (this.list.children.length > LINES) this.list.firstElementChild?.remove();
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }
}

function ago(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  const seconds = Math.floor(milliseconds / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
