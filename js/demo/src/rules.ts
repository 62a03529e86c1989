/** How ships fly and shots move (examples/demo/src/arena/flight.rs), so that one's own need not wait for the host. Its figures are the host's. */

import { angle, SCALE, type ShipState, type ShotState } from "./state.js";
import type { Control, Welcome } from "./wire.js";

/** Where a ship is, in units, and how fast, in units per second. */
export interface Motion {
  readonly x: number;
  readonly y: number;
  readonly vx: number;
  readonly vy: number;
}

export function motionOf(ship: ShipState): Motion {
  return { x: ship.x / SCALE, y: ship.y / SCALE, vx: ship.vx / SCALE, vy: ship.vy / SCALE };
}

/** Moves a ship by one tick. */
export function fly(motion: Motion, control: Control, rules: Welcome): Motion {
  let [right, down] = [control.right / 127, control.down / 127];
  const length = Math.hypot(right, down);
  if (length > 1) [right, down] = [right / length, down / length];
  const tick = 1 / rules.tickRate;
  const radius = rules.shipRadius;
  let vx = (motion.vx + right * rules.acceleration * tick) * rules.glide;
  let vy = (motion.vy + down * rules.acceleration * tick) * rules.glide;
  let x: number, y: number;
  [x, vx] = within(motion.x + vx * tick, vx, radius, rules.width - radius, rules.bounce);
  [y, vy] = within(motion.y + vy * tick, vy, radius, rules.height - radius, rules.bounce);
  for (const pillar of rules.pillars) {
    const [dx, dy] = [x - pillar.x, y - pillar.y];
    const distance = Math.hypot(dx, dy);
    const least = pillar.radius + radius;
    if (distance >= least || distance === 0) continue;
    const [nx, ny] = [dx / distance, dy / distance];
    [x, y] = [pillar.x + nx * least, pillar.y + ny * least];
    const inwards = vx * nx + vy * ny;
    if (inwards < 0) {
      vx -= inwards * (1 + rules.bounce) * nx;
      vy -= inwards * (1 + rules.bounce) * ny;
    }
  }
  return { x, y, vx, vy };
}

function within(place: number, speed: number, low: number, high: number, bounce: number): [number, number] {
  if (place < low) return [low, Math.abs(speed) * bounce];
  if (place > high) return [high, -Math.abs(speed) * bounce];
  return [place, speed];
}

/** Where a shot is at a tick, which may lie between two; in units. */
export function shotPlace(shot: ShotState, tick: number, rules: Welcome): { x: number; y: number } {
  const flown = (rules.shotSpeed * Math.max(0, tick - shot.firedAt)) / rules.tickRate;
  const direction = angle(shot.aim, 65_536);
  return { x: shot.x / SCALE + Math.cos(direction) * flown, y: shot.y / SCALE + Math.sin(direction) * flown };
}

/** Returns whether a shot cannot be at a place: outside, or in a pillar. */
export function isStopped(x: number, y: number, rules: Welcome): boolean {
  if (x < 0 || y < 0 || x > rules.width || y > rules.height) return true;
  return rules.pillars.some((pillar) => Math.hypot(pillar.x - x, pillar.y - y) < pillar.radius + rules.shotRadius);
}
