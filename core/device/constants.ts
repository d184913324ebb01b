/** Tensors whose numbers never change, kept on the device so that no step uploads them again. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";

type Constants = Map<string, Tensor>;

/** Those without an owner. */
const shared: Constants = new Map();
const ofOwner = new WeakMap<object, Constants>();
/** Frees an owner's tensors once it is garbage. */
const owners = new FinalizationRegistry((constants: Constants) => {
  for (const tensor of constants.values()) tensor.dispose();
  count -= constants.size;
});
let count = 0;

/**
 * The tensor of a name, made once for each device (and owner), which nobody disposes of.
 * @param name tells what its numbers are; another name for other numbers
 * @param make gives the tensor; called where there is none yet
 * @param owner what the numbers belong to: the tensor is freed some time after the owner has become garbage. Without one
 * it lives as long as the program, so that only a few names may be used.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { tf, useDevice } from "../../mod.ts";
 * import { constant } from "./constants.ts";
 * await useDevice("wasm", { log: null });
 * const table = Float32Array.of(1, 2, 3);
 * const first = constant("table", () => tf.tensor1d(table), table);
 * assert(constant("table", () => tf.tensor1d(table), table) === first);
 * ```
 */
export function constant(name: string, make: () => Tensor, owner?: object): Tensor {
  const kept = owner ? constantsOf(owner) : shared;
  const key = `${tf.getBackend()} ${name}`;
  let tensor = kept.get(key);
  if (!tensor) {
    tensor = tf.keep(tf.tidy(make));
    kept.set(key, tensor);
    count++;
  }
  return tensor;
}

/** How many tensors are kept on all devices. */
export function countConstants(): number {
  return count;
}

function constantsOf(owner: object): Constants {
  let constants = ofOwner.get(owner);
  if (!constants) {
    constants = new Map();
    ofOwner.set(owner, constants);
    owners.register(owner, constants);
  }
  return constants;
}
