/** The sliders that make the network worse. */

import { element, setText } from "./dom.js";

export class LinkSliders {
  readonly #loss = element<HTMLInputElement>("loss");
  readonly #delay = element<HTMLInputElement>("delay");

  /** `changed` is called with the link as text, at most once for each picture. */
  constructor(changed: (link: string) => void) {
    let asked = false;
    const change = () => {
      this.#show();
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        changed(this.link);
      });
    };
    for (const slider of [this.#loss, this.#delay]) slider.addEventListener("input", change);
    this.#show();
  }

  /** As `setSimulatedLink` takes it. A real network's delay is never quite the same. */
  get link(): string {
    const delay = this.#delay.valueAsNumber;
    return `delay=${delay},jitter=${Math.round(delay / 8)},loss=${this.#loss.valueAsNumber}%`;
  }

  #show(): void {
    setText(element("loss-value"), `${this.#loss.value} %`);
    setText(element("delay-value"), `${this.#delay.value} ms`);
    for (const slider of [this.#loss, this.#delay]) {
      slider.style.setProperty("--filled", `${(slider.valueAsNumber / Number(slider.max)) * 100}%`);
    }
  }
}
