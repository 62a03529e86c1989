// The pages' half of the arena's messages, against what the host says (arena.json, made by arena/vectors.rs).
// Run it after `cargo xtask web`: node --test js/demo/test

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { load } from "./pages.mjs";

const { AHEAD, Inbox, Outbox } = await load("guaranteed.js");
const { fly } = await load("rules.js");
const { View } = await load("view.js");
const { cut, fire, hello, Malformed, readNews, readWelcome, Reader, say, writeInput, Writer } = await load("wire.js");

const vectors = JSON.parse(readFileSync(new URL("arena.json", import.meta.url), "utf8"));
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const packets = vectors.game.packets.map(bytes);

/** Numbers that look random, from a seed. */
function chances(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test("a game that is told by differences over a bad network comes to what the host has", () => {
  const view = new View(60);
  for (const packet of packets) view.packet(packet);
  assert.equal(view.malformed, 0);
  assert.equal(view.mismatches, 0);
  const state = view.states.at(-1);
  assert.deepEqual({ ...state, ships: [...state.ships] }, vectors.game.state);
  assert.deepEqual([...view.players], vectors.game.players);
});

test("a packet that was told against a state that never came is known to be no use, and so is an older one", () => {
  const view = new View(60);
  for (const packet of packets.slice(10)) view.packet(packet);
  assert.equal(view.states.length, 0);
  assert.equal(view.malformed, packets.length - 10);
  view.packet(packets[0]);
  view.packet(packets[0]);
  assert.equal(view.states.length, 1);
  assert.equal(view.malformed, packets.length - 9);
});

test("a state that is not what the host has is noticed", () => {
  const view = new View(60);
  view.packet(packets[0]);
  const bent = packets[1].slice();
  bent[9] ^= 1; // the check
  view.packet(bent);
  assert.equal(view.mismatches, 1);
  assert.equal(view.states.length, 1);
});

test("cut and bent packets are refused, and nothing else happens", () => {
  const random = chances(7);
  for (let round = 0; round < 3000; round++) {
    const view = new View(60);
    view.packet(packets[0]);
    const bent = packets[1].slice(0, Math.floor(random() * (packets[1].length + 1)));
    for (let change = 0; change < 3 && bent.length > 0; change++) {
      bent[Math.floor(random() * bent.length)] = Math.floor(random() * 256);
    }
    view.packet(bent);
    assert.ok(view.states.length <= 2);
  }
  for (let length = 0; length < packets[0].length; length++) {
    const view = new View(60);
    view.packet(packets[0].slice(0, length));
    assert.equal(view.malformed, 1, `cut to ${length}`);
  }
});

test("names, rules and inputs are what the host reads", () => {
  assert.equal(hex(hello(vectors.hello.name)), vectors.hello.bytes);
  const rules = readWelcome(bytes(vectors.welcome));
  assert.equal(rules.player, 0);
  assert.equal(rules.tickRate, 60);
  assert.equal(rules.pillars.length, 5);
  assert.throws(() => readWelcome(bytes(vectors.welcome).slice(1)), Malformed);
  const { right, down, aim } = vectors.input;
  const letters = [fire(vectors.input.fire), say(vectors.input.say)].map((content, number) => ({ number, content }));
  assert.equal(hex(writeInput(1, { right, down, aim }, letters)), vectors.input.bytes);
});

test("a ship flies here as it does at the host", () => {
  const rules = readWelcome(bytes(vectors.welcome));
  let motion = { x: vectors.flight.x, y: vectors.flight.y, vx: 0, vy: 0 };
  for (const leg of vectors.flight.legs) {
    for (let tick = 0; tick < leg.ticks; tick++) motion = fly(motion, { ...leg, aim: 0 }, rules);
    assert.ok(Math.hypot(motion.x - leg.x, motion.y - leg.y) < 1e-3, `${JSON.stringify(motion)} ${JSON.stringify(leg)}`);
  }
});

test("numbers read back", () => {
  for (const number of [0, 1, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32 - 1]) {
    assert.equal(new Reader(new Writer().number(number).done()).number(), number);
  }
  for (const [number, signed] of [[0, 0], [1, -1], [2, 1], [127, -64], [128, 64], [2 ** 32 - 1, -(2 ** 31)]]) {
    assert.equal(new Reader(new Writer().number(number).done()).signed(), signed);
  }
  assert.throws(() => new Reader(new Uint8Array(6).fill(0xff)).number(), Malformed);
});

test("text is cut between characters, and no text that is none is read", () => {
  assert.equal(new TextDecoder().decode(cut("äöü", 3)), "ä");
  assert.throws(() => readNews(Uint8Array.of(4, 0, 2, 0xc3, 0x28)), Malformed);
  assert.throws(() => readNews(Uint8Array.of(9, 0)), Malformed);
  assert.throws(() => readNews(Uint8Array.of(2, 0, 0)), Malformed);
});

test("whatever is lost, all letters arrive once and in order", () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = chances(seed);
    const loss = random() * 0.9;
    const [outbox, inbox, underWay, got, lost] = [new Outbox(), new Inbox(), [], [], new Set()];
    let pushed = 0;
    for (let turn = 0; got.length < 300; turn++) {
      assert.ok(turn < 1e6, `seed ${seed}: a letter is missing`);
      for (; pushed < 300 && random() < 0.5; pushed++) outbox.push(Uint8Array.of(pushed >> 8, pushed));
      const letters = outbox.take(random() * 60);
      const delivered = random() >= loss;
      if (delivered) for (const letter of letters) assert.ok(inbox.take(letter), `seed ${seed}`);
      underWay.push([letters, delivered]);
      if (underWay.length > 12) {
        const [letters, delivered] = underWay.shift();
        outbox.settle(letters, delivered);
        if (!delivered) for (const { number } of letters) lost.add(number);
      }
      for (const [high, low] of inbox.next()) got.push(high * 256 + low);
    }
    assert.deepEqual(got, Array.from({ length: 300 }, (_, number) => number));
    assert.equal(outbox.sentAgain, lost.size);
  }
});

test("letters do not run further ahead than an inbox keeps, and it refuses what nobody honest sends", () => {
  const outbox = new Outbox();
  for (let number = 0; number < 200; number++) outbox.push(new Uint8Array());
  const taken = [];
  for (let more; (more = outbox.take(1000)).length > 0; ) taken.push(...more);
  assert.equal(taken.at(-1).number, AHEAD - 1);
  const inbox = new Inbox();
  const letter = (number) => ({ number, content: new Uint8Array() });
  assert.ok(inbox.take(letter(0)));
  assert.ok(!inbox.take(letter(0)));
  assert.ok(!inbox.take(letter(AHEAD)));
  assert.equal([...inbox.next()].length, 1);
  assert.ok(!inbox.take(letter(0)));
});
