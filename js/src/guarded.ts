/** Calls what the application gave. What that throws is uncaught, and does no harm here. @internal */
export function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
