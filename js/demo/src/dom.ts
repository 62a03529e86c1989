/** The little that both pages need of the document. */

/** The element with this id, which the page has. */
export function element<T extends Element = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found as unknown as T;
}

/** Sets text only where it differs, so that nothing is laid out or read out again for nothing. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** A new element with text and a class. */
export function make(name: string, className = "", text = ""): HTMLElement {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** A drawing surface as sharp as the screen, in CSS pixels. */
export class Surface {
  readonly context: CanvasRenderingContext2D;
  width = 0;
  height = 0;

  constructor(readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser draws no canvas");
    this.context = context;
    new ResizeObserver(() => this.#fit()).observe(canvas);
    this.#fit();
  }

  #fit(): void {
    const ratio = Math.min(devicePixelRatio || 1, 2.5);
    [this.width, this.height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    this.canvas.width = Math.max(1, Math.round(this.width * ratio));
    this.canvas.height = Math.max(1, Math.round(this.height * ratio));
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  /** An empty surface. */
  clear(): CanvasRenderingContext2D {
    this.context.clearRect(0, 0, this.width, this.height);
    return this.context;
  }
}

/** The colours of style.css, for canvases. */
export interface Palette {
  readonly field: string;
  readonly panel: string;
  readonly ink: string;
  readonly soft: string;
  readonly faint: string;
  readonly line: string;
  readonly accent: string;
  readonly font: string;
}

function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    field: colour("field"),
    panel: colour("panel"),
    ink: colour("ink"),
    soft: colour("soft"),
    faint: colour("faint"),
    line: colour("line"),
    accent: colour("accent"),
    font: style.fontFamily,
  };
}

/** The palette as it is now; it follows the system's dark and light. */
export const palette: { now: Palette } = { now: readPalette() };
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (palette.now = readPalette()));

const reduced = matchMedia("(prefers-reduced-motion: reduce)");

/** Whether things should move no more than they have to. */
export function isCalm(): boolean {
  return reduced.matches;
}
