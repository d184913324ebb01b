/** MixedPrecision. */
import { Callback, copyOf, currentGpu, type Learner, ops, Parameter, type Tensor, tf } from "../core/mod.ts";
import { ORDER } from "./order.ts";

/** Options of {@link MixedPrecision}. */
export interface MixedPrecisionOptions {
  /** What the loss is multiplied by at first, over 0; default 65536. */
  scale?: number;
  /** Steps in a row without an overflow after which the scale doubles, over 0; default 2000. */
  every?: number;
  /** Takes the line that tells where there is no f16; default `console.error`. */
  log?: (line: string) => void;
}

/**
 * Rounds what convolutions, matrix products and attention multiply to f16 and adds up in f32; weights, norms, softmax
 * and loss stay f32 (Micikevicius et al. 2018; lesson notebook 17). The loss is scaled so that small gradients survive:
 * the scale doubles after `every` good steps; after an overflow it halves, and the step is skipped. All of that happens
 * on the device. Needs WebGPU with shader-f16; elsewhere it says so once, in its first fit, and training is in f32.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   MixedPrecision,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const lines: string[] = [], mixed = new MixedPrecision({ log: (line) => lines.push(line) });
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), mixed] }).fit(1);
 * assert(lines.length === 1 && await mixed.scale() === null); // this is WASM
 * ```
 */
export class MixedPrecision extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.mixedPrecision;
  /** The options, with their defaults. */
  readonly options: Required<MixedPrecisionOptions>;
  /** Whether it has said that there is no f16. */
  #told = false;
  /** Scalars on the device: the scale, good steps in a row, and whether this step overflowed. */
  #state: { scale: Parameter; good: Parameter; bad: Parameter } | null = null;

  /**
   * Sets the scale.
   * @throws RangeError unless scale and every are positive.
   */
  constructor({ scale = 65536, every = 2000, log = console.error }: MixedPrecisionOptions = {}) {
    super();
    for (const [name, value] of Object.entries({ scale, every })) {
      if (!(value > 0 && Number.isFinite(value))) {
        throw new RangeError(`MixedPrecision: ${name} is a positive number, not ${value}`);
      }
    }
    this.options = { scale, every, log };
  }

  /** The scale of the loss as it is now; null where training is in f32. */
  async scale(): Promise<number | null> {
    return this.#state && (await this.#state.scale.data())[0];
  }

  /** Puts f16 around predict, loss and backward, and the scale around the step. */
  override beforeFit(learn: Learner): void {
    const gpu = currentGpu();
    if (!gpu?.hasF16) {
      if (!this.#told) {
        this.options.log("MixedPrecision: no WebGPU device with shader-f16 here, training in f32");
      }
      this.#told = true;
      return;
    }
    const { scale, every } = this.options, fit = learn.current;
    const scalar = (v: number) => new Parameter(tf.scalar(v));
    const state = this.#state ??= { scale: scalar(scale), good: scalar(0), bad: scalar(0) };
    for (const phase of ["predict", "getLoss", "backward"] as const) {
      fit.wrap(phase, (inner) => () => {
        const { half } = gpu;
        gpu.half = true;
        try {
          return inner();
        } finally {
          gpu.half = half;
        }
      });
    }
    if (!fit.train) return;
    fit.lossGradient = state.scale;
    if (learn.opt) learn.opt.overflow = state.bad;
    fit.wrap("step", (step) => () => {
      const params = withOwnGradients(learn, state.scale);
      ops.run(ops.UnscaleGrads, {}, { params, scale: state.scale, bad: state.bad });
      const updateScale = () => void ops.run(ops.UpdateLossScale, {}, { ...state, every });
      const done = step();
      return done ? done.then(updateScale) : updateScale();
    });
  }

  /** The optimiser steps without regard to the scale again. */
  override cleanupFit(learn: Learner): void {
    if (learn.current.train && learn.opt) learn.opt.overflow = null;
  }

  /** The scale, and the good steps in a row. */
  override stateTensors(): Record<string, Tensor> {
    const { scale, good } = this.#state ?? {};
    return scale ? { scale, good: good! } : {};
  }

  /** Goes on with a saved scale. */
  override loadTensors({ scale, good }: Record<string, Tensor>, learn: Learner): void {
    if (!this.#state || !scale) return;
    tf.dispose([this.#state.scale, this.#state.good]);
    Object.assign(this.#state, { scale: new Parameter(copyOf(scale)), good: new Parameter(copyOf(good)) });
    learn.current.lossGradient = this.#state.scale;
  }

  /** Frees the scale. */
  dispose(): void {
    if (this.#state) tf.dispose(Object.values(this.#state));
    this.#state = null;
  }
}

/** Parameters with gradients, each made its own where it shares memory with another or the seed: they change in place. */
function withOwnGradients(learn: Learner, seed: Tensor): Parameter[] {
  const seen = new Set<object>([seed.dataId]);
  return learn.model.parameters().flatMap((p) => {
    if (!p.grad) return [];
    if (seen.has(p.grad.dataId)) p.setGrad(copyOf(p.grad));
    seen.add(p.grad.dataId);
    return [p];
  });
}
