import { TorqueError } from "../error.js";
import type { Command, Notice } from "./messages.js";

/** The page's way to its engine. Commands of one turn go together. */
export interface Port {
  post(command: Command): void;
  /** Sends what has gathered at once. */
  flush(): void;
  /** Ends the worker, if there is one. */
  end(): void;
}

/** Starts an engine, in a worker or in the page itself. */
export async function openPort(inWorker: boolean, listen: (notices: Notice[]) => void): Promise<Port> {
  if (inWorker) return openWorker(listen);
  const { Engine } = await import("./engine.js");
  const engine = new Engine(listen);
  return new Gathering((commands) => engine.handle(commands), () => undefined);
}

async function openWorker(listen: (notices: Notice[]) => void): Promise<Port> {
  const worker = await startWorker();
  const ended = (message: string) => listen([{ kind: "ended", code: "internal", message }]);
  worker.onmessage = ({ data }: MessageEvent<Notice[]>) => listen(data);
  worker.onerror = ({ message }) => ended(`the worker broke: ${message}`);
  const send = (commands: Command[]) => {
    try {
      worker.postMessage(commands);
    } catch (error) {
      ended(`the worker cannot be given what was asked for: ${String(error)}`);
    }
  };
  return new Gathering(send, () => worker.terminate());
}

/** The worker of the file beside this one, as a rule; where that is not found, or of another origin, of the copy in a text. */
async function startWorker(): Promise<Worker> {
  try {
    // In this form bundlers see that it is a separate file.
    return await running(new Worker(new URL("./worker.js", import.meta.url), { name: "torque-socket" }));
  } catch (first) {
    let url: string | undefined;
    try {
      const { worker } = await import("./inline.js");
      url = URL.createObjectURL(new Blob([worker], { type: "text/javascript" }));
      return await running(new Worker(url, { name: "torque-socket" }));
    } catch (second) {
      const both = `${String(first)}; ${String(second)}`;
      throw new TorqueError(
        "worker_missing",
        `the worker does not start (${both}): serve all of this package's folder dist, allow the Content-Security-Policy ` +
          "worker-src 'self' (or blob:, for bundles and other origins), or do without: worker: false",
      );
    } finally {
      if (url) URL.revokeObjectURL(url);
    }
  }
}

/** Resolves when a worker has begun: it says so. */
function running(worker: Worker): Promise<Worker> {
  return new Promise((resolve, reject) => {
    worker.onmessage = () => resolve(worker);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message || "its file is not served, or not allowed"));
    };
  });
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
