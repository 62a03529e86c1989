// The chat's lines over a way that loses packets: node --test js/demo/test, after `cargo xtask web`.

import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./pages.mjs";

const { Conversation } = await load("conversation.js");

/** Two conversations; `loses` decides about each packet. Verdicts come in order, as the socket tells them. */
function pair(loses) {
  const heard = [[], []];
  const fates = [new Map(), new Map()];
  const conversations = [];
  const way = (from) => ({
    maxPacketSize: 300,
    window: 8,
    inFlight: 0,
    send(bytes) {
      this.inFlight++;
      const lost = loses();
      return new Promise((resolve) => {
        setTimeout(() => {
          if (!lost) conversations[1 - from].packet(bytes.slice());
          this.inFlight--;
          resolve(lost ? "dropped" : "delivered");
        }, 1);
      });
    },
  });
  for (const side of [0, 1]) {
    conversations.push(
      new Conversation(way(side), {
        told: (line, fate, tries) => fates[side].set(line, { fate, tries }),
        heard: (text) => heard[side].push(text),
      }),
    );
  }
  return { conversations, heard, fates };
}

/** Waits until `done` holds. */
async function until(done) {
  for (let turn = 0; !done(); turn++) {
    assert.ok(turn < 2000, "it takes too long");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("every line is heard once and in order whatever is lost, and its speaker knows", async () => {
  let seed = 5;
  const loses = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32 < 0.5;
  const { conversations, heard, fates } = pair(loses);
  const said = Array.from({ length: 60 }, (_, line) => `line ${line} ${"x".repeat(line)}`);
  said.forEach((text) => conversations[0].say(text));
  conversations[1].say("meanwhile");
  await until(() => [...fates.flatMap((side) => [...side.values()])].filter(({ fate }) => fate === "delivered").length === 61);
  assert.deepEqual(heard, [["meanwhile"], said]);
  assert.ok([...fates[0].values()].some(({ tries }) => tries > 1));
  assert.equal(conversations[0].malformed + conversations[1].malformed, 0);
});

test("lines without a verdict when the connection ends are said to be so", async () => {
  const { conversations, fates } = pair(() => true);
  conversations[0].say("anybody?");
  await until(() => fates[0].get(0)?.tries > 3);
  conversations[0].end();
  assert.equal(fates[0].get(0).fate, "lost");
});

test("what is no packet of this chat is counted, and shown characters cannot play tricks", () => {
  const { conversations, heard } = pair(() => false);
  for (const bytes of [[], [1], [1, 0, 5, 65], [200], [1, 0, 1, 65, 66], [1, 99, 1, 65]]) {
    conversations[0].packet(Uint8Array.from(bytes));
  }
  assert.equal(conversations[0].malformed, 6);
  conversations[0].packet(Uint8Array.from([1, 0, 5, 65, 10, 27, 66, 67]));
  assert.deepEqual(heard[0], ["ABC"]);
});
