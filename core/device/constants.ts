/** Numbers that never change, kept on the device so that no step uploads them again. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";

const byName = new Map<string, Tensor>();
const byObject = new WeakMap<object, Map<string, Tensor>>();

/**
 * A tensor made once for each device and name, or for each device, owner and name; it lives as long as its owner, and is
 * not to be disposed.
 */
export function constant(name: string, make: () => Tensor, owner?: object): Tensor {
  let kept = byName;
  if (owner) {
    kept = byObject.get(owner) ?? new Map();
    byObject.set(owner, kept);
  }
  const key = `${tf.getBackend()} ${name}`;
  let tensor = kept.get(key);
  if (!tensor) {
    tensor = tf.keep(tf.tidy(make));
    kept.set(key, tensor);
  }
  return tensor;
}
