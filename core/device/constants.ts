/** Tensors whose numbers never change, kept on the device so that no step uploads them again. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";

type Constants = Map<string, Tensor>;

/** Those without an owner. */
const shared: Constants = new Map();
const ofOwner = new WeakMap<object, Constants>();
/** All that live. */
const alive = new Set<Tensor>();
/** How many devices were closed: their tensors are no more. */
let closed = 0;
/** Frees an owner's tensors once it is garbage. */
const owners = new FinalizationRegistry((constants: Constants) => {
  for (const tensor of constants.values()) free(tensor);
});

/**
 * The tensor of a name, made once for each device (and owner), which nobody disposes of.
 * @param name tells what its numbers are; another name for other numbers
 * @param make gives the tensor; called where there is none yet
 * @param owner what the numbers belong to: the tensor is freed some time after the owner has become garbage. Without one
 * it lives until the device is closed, so that only a few names may be used.
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
  const key = `${closed} ${name}`;
  let tensor = kept.get(key);
  if (!tensor) {
    tensor = tf.keep(tf.tidy(make));
    kept.set(key, tensor);
    alive.add(tensor);
  }
  return tensor;
}

/** How many tensors are kept. */
export function countConstants(): number {
  return alive.size;
}

/** Frees all: the device that they are on is closed. */
export function freeConstants(): void {
  for (const tensor of alive) free(tensor);
  shared.clear();
  closed++;
}

function free(tensor: Tensor): void {
  tensor.dispose();
  alive.delete(tensor);
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
