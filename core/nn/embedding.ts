/** A table of vectors, one for each whole number. */
import { Parameter } from "../autograd/tape.ts";
import { requireIndices } from "../ops/check.ts";
import { hostValues, tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { defaultGenerator } from "../random.ts";
import { normal } from "./init.ts";
import type { LayerOptions } from "./layers.ts";
import { Module } from "./module.ts";

/**
 * A vector for each whole number, as PyTorch's `nn.Embedding`. Weight [count,dim], standard normal at first.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Embedding, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const embedding = new Embedding(10, 4);
 * const rows = embedding.call(tf.tensor1d([3, 3, 9], "int32"));
 * assert(rows.shape.join() === "3,4");
 * ```
 */
export class Embedding extends Module<[Tensor], Tensor> {
  /** [count,dim]. */
  weight: Parameter;

  /**
   * Makes a table with random numbers.
   * @param count rows
   * @param dim numbers of a row
   * @throws RangeError unless both are positive whole numbers.
   */
  constructor(readonly count: number, readonly dim: number, options: Pick<LayerOptions, "generator"> = {}) {
    super();
    for (const [name, value] of Object.entries({ count, dim })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new RangeError(`Embedding: ${name} must be a positive whole number, not ${value}`);
      }
    }
    this.weight = new Parameter(normal([count, dim], 1, options.generator ?? defaultGenerator));
  }

  /**
   * The rows of whole numbers.
   * @param x [N], from 0 to count − 1
   * @returns [N,dim]
   * @throws Error for another shape; RangeError for a number that has no row, on WebGPU where the numbers were made on
   *   the host.
   */
  override forward(x: Tensor): Tensor {
    if (x.shape.length !== 1) throw new Error(`Embedding takes whole numbers [N], not [${x.shape}]`);
    const fraction = hostValues(x)?.find((value) => !Number.isInteger(value));
    if (fraction !== undefined) throw new RangeError(`Embedding takes whole numbers, not ${fraction}`);
    requireIndices("Embedding", "numbers", x, this.count);
    return tf.gather(this.weight, x.dtype === "int32" ? x : tf.cast(x, "int32"));
  }
}
