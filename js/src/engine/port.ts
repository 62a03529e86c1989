import type { Command, Notice } from "./messages.js";

/** The face's way to its engine. Commands of one turn go together. */
export interface Port {
  post(command: Command): void;
  /** Sends what has gathered at once. */
  flush(): void;
  /** Ends the worker, if there is one. */
  end(): void;
}

/** An engine in a worker, or beside the face. */
export async function openPort(inWorker: boolean, listen: (notices: Notice[]) => void): Promise<Port> {
  if (inWorker) return openWorker(listen);
  const { Engine } = await import("./engine.js");
  const engine = new Engine(listen);
  return new Gathering((commands) => engine.handle(commands), () => undefined);
}

function openWorker(listen: (notices: Notice[]) => void): Port {
  // In this form bundlers see that it is a file of its own.
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "torque-socket" });
  const ended = (message: string) => listen([{ kind: "ended", code: "internal", message }]);
  let isRunning = false;
  worker.onmessage = ({ data }: MessageEvent<Notice[]>) => {
    isRunning = true;
    listen(data);
  };
  worker.onerror = ({ message }) => {
    ended(isRunning ? `the worker broke: ${message}` : `the worker did not start: ${message || "is its file served?"}`);
  };
  const send = (commands: Command[]) => {
    try {
      worker.postMessage(commands);
    } catch (error) {
      ended(`the worker cannot be given what was asked for: ${String(error)}`);
    }
  };
  return new Gathering(send, () => worker.terminate());
}

class Gathering implements Port {
  #waiting: Command[] = [];

  constructor(
    private readonly send: (commands: Command[]) => void,
    readonly end: () => void,
  ) {}

  post(command: Command): void {
    if (this.#waiting.push(command) === 1) queueMicrotask(() => this.flush());
  }

  flush(): void {
    if (this.#waiting.length === 0) return;
    const commands = this.#waiting;
    this.#waiting = [];
    this.send(commands);
  }
}
