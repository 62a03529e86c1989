// The demo: two tabs and native bots in one arena, all of it carried by packets.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { demoPath, openPage, root, startProgram } from "./harness.mjs";

/** The pages as `cargo xtask web` puts them together. */
const pages = process.env.TORQUE_PAGES ?? join(root, "target", "web");

async function startDemo(t, ...args) {
  assert.ok(existsSync(join(pages, "index.html")), "cargo xtask web builds the pages");
  const demo = await startProgram(t, demoPath, "--web", pages, "--web-port", "0", "--web-only", ...args);
  const { page } = await demo.line((line) => line.page, "address of the page");
  return { origin: page.replace(/\/$/, "") };
}

const state = (page) => page.evaluate(() => {
  const { state, player, players, ships, carrier, counters, position } = window.torqueDemo;
  return { state, player, players, ships, carrier, counters: { ...counters }, position };
});

/** Waits until a page's state is as wanted. */
async function until(page, holds, what, time = 20_000) {
  const end = Date.now() + time;
  for (;;) {
    const now = await state(page);
    if (holds(now)) return now;
    assert.ok(Date.now() < end, `${what}: ${JSON.stringify(now)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("two tabs and two bots play together, and every shot arrives once", async (t) => {
  const demo = await startDemo(t, "--bots", "2", "--link", "delay=20,jitter=5,loss=5%");
  const tabs = [await openPage(t, demo, "/", false), await openPage(t, demo, "/", false)];
  for (const tab of tabs) {
    await until(tab, ({ state, players }) => state === "playing" && players.length >= 4, "two tabs and two bots");
  }
  // Both fly and shoot for a while.
  for (const tab of tabs) {
    await tab.locator("canvas").first().click();
    await tab.keyboard.down("w");
    await tab.keyboard.down("d");
  }
  for (let n = 0; n < 12; n++) {
    for (const tab of tabs) await tab.keyboard.press("Space");
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  for (const tab of tabs) {
    const seen = await until(tab, ({ counters }) => counters.snapshots > 60 && counters.open === 0, "snapshots, and no shot open");
    // On a slow machine the page may have found WebSocket first.
    assert.ok(["webtransport", "websocket"].includes(seen.carrier), seen.carrier);
    assert.equal(seen.counters.mismatches, 0, "every snapshot is the host's state");
    assert.equal(seen.counters.malformed, 0);
    assert.equal(seen.players.filter((player) => player.bot).length, 2);
    t.diagnostic(JSON.stringify(seen.counters));
  }
  if (process.env.SCREENSHOT) await tabs[0].screenshot({ path: process.env.SCREENSHOT });
  // One leaves; the other sees it gone.
  const { player } = await state(tabs[1]);
  await tabs[1].close();
  await until(tabs[0], ({ players }) => !players.some(({ number }) => number === player), "one player less", 3_000);
});

test("the page says in words what is going on, and fits a phone", async (t) => {
  const demo = await startDemo(t, "--bots", "1");
  const page = await openPage(t, demo, "/", false);
  await page.setViewportSize({ width: 360, height: 740 });
  await until(page, ({ state }) => state === "playing", "playing");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 360, `nothing is wider than the phone: ${wide}`);
  const unnamed = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, canvas")]
      .filter((element) => !(element.textContent.trim() || element.ariaLabel || element.getAttribute("aria-labelledby") || element.labels?.length))
      .map((element) => element.outerHTML),
  );
  assert.deepEqual(unnamed, [], "everything that can be used has a name");
});

/** Two pages that talk: Ada hosts, Grace comes by the link. */
async function startChat(t, demo, prepare = async () => undefined) {
  const host = await openPage(t, demo, "/chat.html", false);
  await prepare(host);
  await host.getByRole("textbox", { name: "Your name" }).fill("Ada");
  await host.getByRole("button", { name: "Open a room" }).click();
  const link = host.getByRole("textbox", { name: "Link to send" });
  await link.waitFor();
  const guest = await openPage(t, demo, (await link.inputValue()).replace(demo.origin, ""), false);
  await guest.getByRole("textbox", { name: "Your name" }).fill("Grace");
  await guest.getByRole("button", { name: "Ask to be let in" }).click();
  await host.getByRole("button", { name: "Accept" }).click({ timeout: 20_000 });
  return { host, guest };
}

/** Lines go both ways, and are marked as they are delivered. */
async function say(host, guest) {
  for (const [from, to, text] of [[guest, host, "hello over there"], [host, guest, "and back"]]) {
    const line = from.getByRole("textbox", { name: "Say something" });
    await line.fill(text);
    await line.press("Enter");
    await to.getByText(text).waitFor({ timeout: 10_000 });
    await from.getByText("delivered").first().waitFor({ timeout: 10_000 });
  }
}

const pathOf = (page) => page.evaluate(() => window.torqueChat.path);

test("a chat of two pages that a lobby introduces: both show that it relays, and lines are marked as they are delivered", async (t) => {
  const demo = await startDemo(t, "--bots", "0");
  const { host, guest } = await startChat(t, demo);
  await say(host, guest);
  for (const page of [host, guest]) {
    // Neither gateway opens a way first, so they have no direct one.
    await page.getByText("Relayed by the lobby, round trip").waitFor({ timeout: 10_000 });
    assert.equal(await pathOf(page), "relayed");
  }
  assert.match(await host.evaluate(() => window.torqueChat.link), /#tk1[a-z0-9]+@[0-9a-f]{12}$/);
  // The next one finds the room again.
  await guest.getByRole("button", { name: "Leave" }).click();
  await host.getByText("Waiting for somebody to ask").waitFor({ timeout: 10_000 });
  await guest.getByRole("button", { name: "Ask to be let in" }).click();
  await host.getByRole("button", { name: "Accept" }).click({ timeout: 20_000 });
  await say(host, guest);
});

test("a room that nobody hosts says so", async (t) => {
  const demo = await startDemo(t, "--bots", "0");
  const guest = await openPage(t, demo, `/chat.html#tk1${"a".repeat(56)}@0123456789ab`, false);
  await guest.getByRole("button", { name: "Ask to be let in" }).click();
  await guest.getByText("nobody hosts this room").first().waitFor({ timeout: 20_000 });
});

test("without a lobby a chat runs from page to page, by the host's address", async (t) => {
  const demo = await startDemo(t, "--bots", "0");
  const { host, guest } = await startChat(t, demo, (page) => page.route("**/demo.json", (route) => route.fulfill({ json: {} })));
  await say(host, guest);
  for (const page of [host, guest]) {
    await page.getByText("Direct, ").first().waitFor({ timeout: 10_000 });
    assert.equal(await pathOf(page), "direct");
  }
});

test("a page and a program that a lobby introduces become direct, and the page shows it", async (t) => {
  const demo = await startDemo(t, "--bots", "0");
  const page = await openPage(t, demo, "/chat.html", false);
  await page.getByRole("link", { name: "Talk to a parrot" }).click();
  // A link to another room loads the page anew.
  const name = page.getByRole("textbox", { name: "Your name" });
  await page.getByRole("heading", { name: "You are invited to a chat" }).waitFor();
  await name.fill("Grace");
  await page.getByRole("button", { name: "Ask to be let in" }).click();
  await page.getByText("I am a program, and say what I hear").waitFor({ timeout: 20_000 });
  await page.getByText(/^Direct, 127\.0\.0\.1:\d+, round trip/).waitFor({ timeout: 20_000 });
  assert.equal(await pathOf(page), "direct");
  const told = await page.getByRole("log", { name: "Log" }).innerText();
  assert.match(told, /The lobby at 127\.0\.0\.1:\d+ knows the room/);
  // On this machine a direct path may be there before the circuit is used.
  if (/Relayed by the lobby/.test(told)) {
    assert.match(told, /Another path: direct, to 127\.0\.0\.1:\d+/);
    await page.getByText("Now I hear you directly").waitFor({ timeout: 10_000 });
  } else {
    t.diagnostic("direct at once");
  }
  const line = page.getByRole("textbox", { name: "Say something" });
  await line.fill("pretty polly");
  await line.press("Enter");
  await page.waitForFunction(() => window.torqueChat.lines.filter(({ text }) => text === "pretty polly").length === 2);
  await page.getByText("delivered").first().waitFor({ timeout: 10_000 });
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
});
