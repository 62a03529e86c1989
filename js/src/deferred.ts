/** A promise and the functions that settle it. @internal */
export class Deferred<T> {
  resolve!: (value: T | PromiseLike<T>) => void;
  reject!: (error: Error) => void;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}
