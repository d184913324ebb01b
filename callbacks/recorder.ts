/** RecorderCB. */
import * as v from "npm:valibot@1.5.0";
import {
  Callback,
  type Json,
  type Learner,
  linePlot,
  noGrad,
  NUMBER,
  recordOf,
  requireSchema,
  Tensor,
  tf,
} from "../core/mod.ts";

/**
 * What is recorded of a batch: a number, or a tensor of one number, which is read later; one that it makes is freed, one of
 * the batch's stays the batch's.
 */
export type Recorded = (learn: Learner) => number | Tensor;

/** What a checkpoint holds. */
const VALUES = recordOf(v.array(v.nullable(NUMBER)));

/** Scalars are read from the device this many at a time. */
const SCALARS_PER_READ = 64;

/**
 * Records values after each training batch, none in evaluation. A fit goes on after the values of the one before.
 * Source: miniai 12_accel_sgd.
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
 *   RecorderCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const recorder = new RecorderCB({ loss: (learn) => learn.loss, lr: (learn) => learn.opt!.paramGroups[0].lr });
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), recorder] }).fit(2);
 * assert(recorder.values.loss.length === 4); // a number a batch
 * ```
 */
export class RecorderCB extends Callback {
  /** What is recorded, by name. */
  readonly what: Record<string, Recorded>;
  /** The values by name; complete after {@link flush}. */
  readonly values: Record<string, number[]> = {};
  readonly #waiting: Record<string, Tensor[]> = {};
  #reads: { name: string; all: Tensor; data: Promise<ArrayLike<number> & Iterable<number>> }[] = [];

  /**
   * Records training batches.
   * @param what to record of each training batch, by name
   */
  constructor(what: Record<string, Recorded>) {
    super();
    this.what = what;
    for (const name of Object.keys(what)) {
      this.values[name] = [];
      this.#waiting[name] = [];
    }
  }

  /**
   * Records a training batch.
   * @throws Error for a tensor of several numbers.
   */
  override afterBatch(learn: Learner): void {
    if (!learn.training) return;
    for (const [name, record] of Object.entries(this.what)) {
      const value = record(learn);
      if (!(value instanceof Tensor)) this.values[name].push(value);
      else if (value.size !== 1) {
        throw new Error(`RecorderCB: "${name}" is a tensor of shape [${value.shape}], not of one number`);
      } else this.#waiting[name].push(tf.keep(tf.clone(value)));
    }
    if (Object.values(this.#waiting).some((list) => list.length >= SCALARS_PER_READ)) this.#read();
  }

  /** Begins to read what is still on the device; the next batches do not wait for it. */
  #read(): void {
    for (const [name, list] of Object.entries(this.#waiting)) {
      if (list.length === 0) continue;
      const all = tf.keep(noGrad(() => tf.tidy(() => tf.stack(list))));
      tf.dispose(list.splice(0));
      const data = all.data();
      data.catch(() => {}); // reported by flush
      this.#reads.push({ name, all, data });
    }
  }

  /** Waits until everything recorded so far is in {@link values}. */
  async flush(): Promise<void> {
    this.#read();
    const reads = this.#reads;
    this.#reads = [];
    for (const { name, all, data } of reads) {
      this.values[name].push(...await data);
      all.dispose();
    }
  }

  /** Reads what is left of a pass. */
  override async afterEpoch(learn: Learner): Promise<void> {
    if (learn.training) await this.flush();
  }

  /** Reads what is left. */
  override async cleanupFit(): Promise<void> {
    await this.flush();
  }

  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }

  /** All values so far. */
  override async state(): Promise<Json> {
    await this.flush();
    return this.values;
  }

  /** Goes on after saved values. */
  override loadState(state: Json): void {
    for (const [name, list] of Object.entries(requireSchema(VALUES, state, "RecorderCB's state"))) {
      this.values[name] = list.map((value) => value ?? NaN); // null in checkpoints of before
    }
  }

  /** A line plot of each name over the batches, as SVG; complete after {@link flush}. */
  async plot(): Promise<Record<string, string>> {
    const plots: Record<string, string> = {};
    for (const [name, list] of Object.entries(this.values)) {
      const points = list.map((y, x) => ({ x, y }));
      plots[name] = await linePlot({ series: { [name]: points }, x: "batch", y: name });
    }
    return plots;
  }
}
