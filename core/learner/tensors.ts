/** Tensors in nested values. */
import { HostArray } from "../data/array.ts";
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";

/** All tensors in a nested value, each once, in order. */
export function tensorsIn(value: unknown): Tensor[] {
  const found = new Set<Tensor>(), seen = new Set<object>();
  const look = (x: unknown): void => {
    if (x instanceof tf.Tensor) found.add(x);
    else if (x && typeof x === "object" && !seen.has(x)) {
      if (x instanceof HostArray || ArrayBuffer.isView(x)) return;
      seen.add(x);
      Object.values(x).forEach(look);
    }
  };
  look(value);
  return [...found];
}
