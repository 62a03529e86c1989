/** The arena, drawn. What is one's own has the accent colour; people are solid, bots are hollow. */

import type { Finger } from "./controls.js";
import { isCalm, palette, type Palette, type Surface } from "./dom.js";
import { Effects } from "./effects.js";
import type { OwnShot } from "./own_shots.js";
import { shotPlace, type Motion } from "./rules.js";
import { angle, PROTECTED, SCALE, SHIELD, THRUST, type ShipState, type ShotState } from "./state.js";
import { shipAt, type Moment } from "./timeline.js";
import type { Player } from "./view.js";
import type { Welcome } from "./wire.js";

/** What is shown around the arena where all of it fits, in its units. */
const MARGIN = 4;
/** The least size of the arena on the screen, in CSS pixels for a unit: where it does not fit, it follows the ship. */
const LEAST_SCALE = 0.44;

/** What is to be seen. */
export interface Frame {
  readonly now: number;
  readonly moment: Moment;
  readonly players: ReadonlyMap<number, Player>;
  /** One's own ship as predicted, and where it points, in radians. */
  readonly own: Motion | undefined;
  readonly ownAim: number;
  readonly ownThrust: boolean;
  readonly ownShots: readonly OwnShot[];
  /** The tick of this page, for one's own shots. */
  readonly tick: number;
  readonly isOwnShot: (shot: ShotState) => boolean;
  readonly fingers: Iterable<Finger>;
}

/** A ship as it is drawn. */
interface Drawn {
  readonly x: number;
  readonly y: number;
  readonly vx: number;
  readonly vy: number;
  readonly aim: number;
  readonly status: number;
}

export class Scene {
  readonly #surface: Surface;
  readonly #rules: Welcome;
  readonly #effects = new Effects();
  #camera = { x: 0, y: 0, scale: 1 };
  #ships = new Map<number, Drawn>();
  #shots = new Map<string, { x: number; y: number; mine: boolean }>();

  constructor(surface: Surface, rules: Welcome) {
    this.#surface = surface;
    this.#rules = rules;
    this.#camera = { x: rules.width / 2, y: rules.height / 2, scale: 1 };
  }

  /** The place in the arena behind a CSS pixel of the field. */
  toArena(x: number, y: number): { x: number; y: number } {
    const { x: centreX, y: centreY, scale } = this.#camera;
    return { x: centreX + (x - this.#surface.width / 2) / scale, y: centreY + (y - this.#surface.height / 2) / scale };
  }

  draw(frame: Frame): void {
    const { width, height } = this.#surface;
    const colours = palette.now;
    const context = this.#surface.clear();
    this.#follow(frame.own);
    const { x, y, scale } = this.#camera;
    context.save();
    context.translate(width / 2, height / 2);
    context.scale(scale, scale);
    context.translate(-x, -y);
    this.#drawGround(context, colours, 1 / scale);
    this.#drawShots(context, frame, colours);
    this.#drawShips(context, frame, colours, 1 / scale);
    this.#effects.draw(context, frame.now, 1 / scale);
    context.restore();
    for (const finger of frame.fingers) drawFinger(context, finger, colours);
  }

  /** The whole arena where it fits, else as much as does, with the ship in it. */
  #follow(own: Motion | undefined): void {
    const { width, height } = this.#surface;
    const rules = this.#rules;
    const scale = Math.max(LEAST_SCALE, Math.min(width / (rules.width + 2 * MARGIN), height / (rules.height + 2 * MARGIN)));
    const edge = (centre: number, size: number, shown: number) =>
      shown >= size ? size / 2 : Math.min(size + MARGIN - shown / 2, Math.max(shown / 2 - MARGIN, centre));
    const ease = own && !isCalm() ? 0.14 : 1;
    const wanted = own ?? this.#camera;
    this.#camera = {
      scale,
      x: edge(this.#camera.x + (wanted.x - this.#camera.x) * ease, rules.width, width / scale),
      y: edge(this.#camera.y + (wanted.y - this.#camera.y) * ease, rules.height, height / scale),
    };
  }

  #drawGround(context: CanvasRenderingContext2D, colours: Palette, unit: number): void {
    const { width, height, pillars } = this.#rules;
    context.fillStyle = colours.field;
    context.strokeStyle = colours.faint;
    context.lineWidth = 1.25 * unit;
    context.beginPath();
    context.roundRect(0, 0, width, height, 10 * unit);
    context.fill();
    context.stroke();
    context.fillStyle = colours.line;
    for (let x = 100; x < width; x += 100) {
      for (let y = 100; y < height; y += 100) {
        context.beginPath();
        context.arc(x, y, 1.4 * unit, 0, 2 * Math.PI);
        context.fill();
      }
    }
    for (const { x, y, radius } of pillars) {
      context.fillStyle = colours.line;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
      context.strokeStyle = colours.field;
      context.lineWidth = 1.5 * unit;
      context.beginPath();
      context.arc(x, y, radius - 9, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  #drawShots(context: CanvasRenderingContext2D, frame: Frame, colours: Palette): void {
    const shown = new Map<string, { x: number; y: number; mine: boolean }>();
    const { moment } = frame;
    for (const shot of (moment.after ?? moment.before).shots) {
      if (shot.firedAt > moment.tick || frame.isOwnShot(shot)) continue;
      const place = shotPlace(shot, moment.tick, this.#rules);
      const mine = shot.owner === this.#rules.player;
      drawShot(context, place.x, place.y, angle(shot.aim, 65_536), mine ? colours.accent : colours.ink);
      shown.set(`${shot.number}`, { ...place, mine });
    }
    for (const { shot, fate } of frame.ownShots) {
      const place = shotPlace(shot, frame.tick, this.#rules);
      drawShot(context, place.x, place.y, angle(shot.aim, 65_536), colours.accent, fate === "delivered" ? "" : colours.field);
      if (fate === "again") {
        context.lineWidth = 1.5;
        context.beginPath();
        context.arc(place.x, place.y, 10, 0, 2 * Math.PI);
        context.stroke();
      }
      shown.set(`own ${shot.deed} ${shot.firedAt}`, { ...place, mine: true });
    }
    for (const [key, { x, y, mine }] of this.#shots) {
      if (!shown.has(key)) this.#effects.add("spark", x, y, mine ? colours.accent : colours.soft, frame.now);
    }
    this.#shots = shown;
  }

  #drawShips(context: CanvasRenderingContext2D, frame: Frame, colours: Palette, unit: number): void {
    const shown = new Map<number, Drawn>();
    const { moment, players } = frame;
    const me = this.#rules.player;
    const numbers = new Set([...moment.before.ships.keys(), ...(moment.after?.ships.keys() ?? [])]);
    for (const number of numbers) {
      const state = shipAt(moment, number, this.#rules.tickRate);
      const ship = number === me ? this.#own(frame) : state && drawnOf(state);
      if (!ship) continue;
      const player = players.get(number);
      const colour = number === me ? colours.accent : player?.bot ? colours.soft : colours.ink;
      drawShip(context, ship, colour, player?.bot && number !== me ? colours.field : "", this.#rules, frame.now, unit);
      if (player && number !== me) {
        context.font = `500 ${11.5 * unit}px ${colours.font}`;
        context.textAlign = "center";
        context.textBaseline = "top";
        context.fillStyle = player.bot ? colours.soft : colours.ink;
        context.fillText(player.name, ship.x, ship.y + 18 + Math.max(14, 10 * unit));
      }
      const before = this.#ships.get(number);
      if (before && (before.status & SHIELD) > (ship.status & SHIELD)) {
        this.#effects.add("flash", ship.x, ship.y, colour, frame.now);
      }
      shown.set(number, ship);
    }
    for (const [number, ship] of this.#ships) {
      if (!shown.has(number) && players.has(number)) {
        this.#effects.add("burst", ship.x, ship.y, number === me ? colours.accent : colours.ink, frame.now);
      }
    }
    this.#ships = shown;
  }

  /** One's own ship: where it is predicted, with the shield that the host tells. */
  #own(frame: Frame): Drawn | undefined {
    const { own, moment } = frame;
    const state = (moment.after ?? moment.before).ships.get(this.#rules.player);
    if (!own || !state) return undefined;
    const thrust = frame.ownThrust ? THRUST : 0;
    return { ...own, aim: frame.ownAim, status: (state.status & ~THRUST) | thrust };
  }
}

function drawnOf(state: ShipState): Drawn {
  return {
    x: state.x / SCALE,
    y: state.y / SCALE,
    vx: state.vx / SCALE,
    vy: state.vy / SCALE,
    aim: angle(state.aim, 256),
    status: state.status,
  };
}

/** `fill`: what is inside a hollow one; empty if it is solid. */
function drawShip(
  context: CanvasRenderingContext2D,
  ship: Drawn,
  colour: string,
  fill: string,
  rules: Welcome,
  now: number,
  unit: number,
): void {
  const { x, y, aim, status } = ship;
  const radius = rules.shipRadius;
  context.strokeStyle = colour;
  context.lineCap = "round";
  if ((status & THRUST) !== 0 && !isCalm()) {
    // A wake, as long as the ship is fast.
    for (let step = 1; step <= 4; step++) {
      context.globalAlpha = 0.2 - step * 0.04;
      context.fillStyle = colour;
      context.beginPath();
      context.arc(x - ship.vx * step * 0.022, y - ship.vy * step * 0.022, radius * (0.85 - step * 0.13), 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
  }
  // A drop that points where it shoots.
  const line = Math.max(3.4, 1.7 * unit);
  const body = radius - 2 - line / 2;
  context.lineWidth = line;
  context.lineJoin = "round";
  context.beginPath();
  context.arc(x, y, body, aim + 0.72, aim - 0.72);
  context.lineTo(x + Math.cos(aim) * body * 1.62, y + Math.sin(aim) * body * 1.62);
  context.closePath();
  context.fillStyle = fill || colour;
  context.fill();
  context.stroke();
  // The shield, an arc for each hit that it takes.
  context.lineWidth = Math.max(2.6, 1.4 * unit);
  const gap = 0.28;
  for (let part = 0; part < rules.shield; part++) {
    const from = -Math.PI / 2 + (part / rules.shield) * 2 * Math.PI + gap / 2;
    context.globalAlpha = part < (status & SHIELD) ? 0.9 : 0.14;
    context.beginPath();
    context.arc(x, y, radius + 10, from, from + (2 * Math.PI) / rules.shield - gap);
    context.stroke();
  }
  context.globalAlpha = 1;
  if ((status & PROTECTED) !== 0) {
    context.lineWidth = Math.max(1.5, unit);
    context.setLineDash([5, 6]);
    context.lineDashOffset = isCalm() ? 0 : -now / 40;
    context.beginPath();
    context.arc(x, y, radius + 17, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
  }
}

/** `hollow`: what is inside; empty if it is solid. */
function drawShot(context: CanvasRenderingContext2D, x: number, y: number, aim: number, colour: string, hollow = ""): void {
  const [dx, dy] = [Math.cos(aim) * 11, Math.sin(aim) * 11];
  const line = (width: number, style: string) => {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(x - dx, y - dy);
    context.lineTo(x, y);
    context.stroke();
  };
  line(6.5, colour);
  if (hollow) line(3, hollow);
  context.strokeStyle = colour;
}

function drawFinger(context: CanvasRenderingContext2D, finger: Finger, colours: Palette): void {
  context.globalAlpha = 0.55;
  context.strokeStyle = finger.role === "fire" ? colours.accent : colours.soft;
  context.fillStyle = context.strokeStyle;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(finger.startX, finger.startY, 44, 0, 2 * Math.PI);
  context.stroke();
  const [dx, dy] = [finger.x - finger.startX, finger.y - finger.startY];
  const held = Math.min(1, 44 / Math.max(1, Math.hypot(dx, dy)));
  context.beginPath();
  context.arc(finger.startX + dx * held, finger.startY + dy * held, 17, 0, 2 * Math.PI);
  context.fill();
  context.globalAlpha = 1;
}
