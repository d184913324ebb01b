/** DeviceCB. */
import { Callback, HostArray, type Learner } from "../core/mod.ts";

/** Every host array in a nested batch as a tensor. */
function toDevice(x: unknown): unknown {
  if (x instanceof HostArray) return x.toTensor();
  return Array.isArray(x) ? x.map(toDevice) : x;
}

/**
 * Copies each batch from the host to the device. Source: miniai 09_learner.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DeviceCB } from "../mod.ts";
 * assert(new DeviceCB().order === 0);
 * ```
 */
export class DeviceCB extends Callback {
  beforeBatch(learn: Learner): void {
    learn.batch = toDevice(learn.batch) as unknown[];
  }
}
