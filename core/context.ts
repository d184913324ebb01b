/** Values that belong to a piece of work: code that it calls finds them, also after an `await`. */

/** A value that each piece of work has of its own. */
export interface ContextVariable<T> {
  /** The value of the work that asks; undefined outside of any. */
  get(): T | undefined;
  /** Runs `body` as work with this value. */
  run<R>(value: T, body: () => R): R;
}

/** What `node:async_hooks` gives. */
interface Storage<T> {
  getStore(): T | undefined;
  run<R>(store: T, body: () => R): R;
}

/** The runtime's own modules; a browser has none. */
interface Runtime {
  process?: {
    getBuiltinModule?(name: string): { AsyncLocalStorage: new <T>() => Storage<T> } | undefined;
  };
}

/**
 * A value that goes with a piece of work through its awaits. In a browser, which does not tell whose code goes on after
 * an `await`, the value is that of the synchronous part alone.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { contextVariable } from "./context.ts";
 * const name = contextVariable<string>();
 * const ask = async () => {
 *   await Promise.resolve();
 *   return name.get();
 * };
 * const names = await Promise.all([name.run("a", ask), name.run("b", ask), ask()]);
 * assert(names.join() === "a,b,");
 * ```
 */
export function contextVariable<T>(): ContextVariable<T> {
  const hooks = (globalThis as Runtime).process?.getBuiltinModule?.("node:async_hooks");
  if (!hooks) return ofSynchronousPart();
  const storage = new hooks.AsyncLocalStorage<T>();
  return { get: () => storage.getStore(), run: (value, body) => storage.run(value, body) };
}

/** A value that is there until `body` returns. */
export function ofSynchronousPart<T>(): ContextVariable<T> {
  let current: T | undefined;
  return {
    get: () => current,
    run(value, body) {
      const outer = current;
      current = value;
      try {
        return body();
      } finally {
        current = outer;
      }
    },
  };
}
