/** The engine in a worker: hidden tabs slow the timers of their pages down, not those of workers. */

import { Engine } from "./engine.js";
import type { Command } from "./messages.js";

const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<Command[]>) => void) | null;
  postMessage(message: unknown, transfer: Transferable[]): void;
};

const engine = new Engine((notices) => {
  const transfer = [];
  for (const notice of notices) if (notice.kind === "packet") transfer.push(notice.data.buffer as ArrayBuffer);
  scope.postMessage(notices, transfer);
});

// The page waits for it: a worker that cannot be loaded says nothing.
scope.postMessage([], []);
scope.onmessage = ({ data }) => engine.handle(data);

// The page hears of other errors, but not of those in promises.
addEventListener("unhandledrejection", ({ reason }) => {
  scope.postMessage([{ kind: "ended", code: "internal", message: `the worker broke: ${String(reason)}` }], []);
});
