// What tests of sockets in Node share. It needs no browser and no other programs.

export const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));
export const text = (bytes) => new TextDecoder().decode(bytes);

/** A socket of `Class` at an address of its own, until the test `t` is over. */
export async function bound(t, Class, options = {}) {
  const socket = new Class({ bind: "127.0.0.1:0", ...options });
  t.after(() => socket.shutdown());
  await socket.bind();
  return socket;
}

/** Collects what listeners throw in the test `t`, which would be uncaught. */
export function uncaught(t) {
  const thrown = [];
  const { queueMicrotask } = globalThis;
  t.after(() => { globalThis.queueMicrotask = queueMicrotask; });
  globalThis.queueMicrotask = (act) =>
    queueMicrotask(() => {
      try {
        act();
      } catch (error) {
        thrown.push(error);
      }
    });
  return thrown;
}
