/** What MetricsCB measures: the interface, a mean on the device, accuracy. */
import * as v from "npm:valibot@1.5.0";
import { type Json, NUMBER, requireSchema, type Tensor, tf } from "../core/mod.ts";

/** Something measured over the batches of an epoch. */
export interface Metric {
  /** Forgets what it has seen. */
  reset(): void;
  /** Takes a batch's predictions and targets; sums may stay on the device until {@link compute}. */
  update(preds: Tensor, target: Tensor): void | Promise<void>;
  /** The value over everything since the reset. */
  compute(): number | Promise<number>;
  /** What a checkpoint within an epoch needs so that the metric goes on; without it, it begins again there. */
  state?(): Json | Promise<Json>;
  /** Goes on from what {@link state} gave. */
  loadState?(state: Json): void;
}

const SUM = v.nullable(NUMBER);
const MEAN_STATE: v.GenericSchema<unknown, [sum: number | null, weight: number, rest?: number | null]> = v
  .union([
    v.strictTuple([SUM, NUMBER]),
    v.strictTuple([SUM, NUMBER, SUM]),
  ], "a sum, a weight, and what rounding took");

/** The value of a scalar that the next batch disposes of. */
export async function valueOf(x: Tensor): Promise<number> {
  const kept = tf.keep(tf.clone(x));
  try {
    return (await kept.data())[0];
  } finally {
    kept.dispose();
  }
}

/**
 * A weighted mean whose sums stay on the device, so that a batch waits for no read. The total keeps what rounding took
 * from it (Neumaier 1974), so that many batches lose nothing.
 */
export class Mean {
  #total: Tensor | null = null;
  /** What the total lacks. */
  #rest: Tensor | null = null;
  #weight = 0;

  /**
   * Adds a scalar tensor with a weight.
   * @throws Error for a tensor of another shape.
   */
  add(value: Tensor, weight: number): void {
    if (value.size !== 1) throw new Error(`Mean.add takes a scalar, not a tensor of shape [${value.shape}]`);
    const [total, rest] = tf.tidy(() => {
      const part: Tensor = tf.mul(value, weight);
      if (!this.#total || !this.#rest) return [part, tf.zerosLike(part)];
      const sum = tf.add(this.#total, part);
      const totalIsLarger = tf.greaterEqual(tf.abs(this.#total), tf.abs(part));
      const larger = tf.where(totalIsLarger, this.#total, part);
      const smaller = tf.where(totalIsLarger, part, this.#total);
      return [sum, tf.add(this.#rest, tf.add(tf.sub(larger, sum), smaller))];
    });
    this.#set(total, rest, this.#weight + weight);
  }

  /** Forgets what it has seen. */
  reset(): void {
    this.#set(null, null, 0);
  }

  #set(total: Tensor | null, rest: Tensor | null, weight: number): void {
    this.#total?.dispose();
    this.#rest?.dispose();
    this.#total = total && tf.keep(total);
    this.#rest = rest && tf.keep(rest);
    this.#weight = weight;
  }

  /** Sum and weight so far, and what rounding took from the sum. */
  async state(): Promise<[sum: number, weight: number, rest: number]> {
    const read = (x: Tensor | null) => x ? valueOf(x) : 0;
    const weight = this.#weight, [sum, rest] = await Promise.all([read(this.#total), read(this.#rest)]);
    return [sum, weight, rest];
  }

  /**
   * Goes on from {@link state}, with the rounding of a mean that never stopped; versions before kept no rest, and NaN
   * as null.
   * @throws Error for anything else.
   */
  loadState(state: Json): void {
    const [sum, weight, rest = 0] = requireSchema(MEAN_STATE, state, "Mean's state");
    this.reset();
    if (weight) this.#set(tf.scalar(sum ?? NaN), tf.scalar(rest ?? NaN), weight);
  }

  /** Sum / weight; NaN before the first {@link add}. */
  async compute(): Promise<number> {
    const [sum, weight, rest] = await this.state();
    return (sum + rest) / weight;
  }
}

/** Share of rows whose largest logit is the label: preds [N,classes], target [N] or [N,1]. */
export class Accuracy implements Metric {
  #mean = new Mean();
  /** Forgets what it has seen. */
  reset(): void {
    this.#mean.reset();
  }
  /**
   * Counts the rows of a batch whose largest logit is the label.
   * @param preds [N,classes]
   * @param target [N] or [N,1]
   * @throws Error for other shapes.
   */
  update(preds: Tensor, target: Tensor): void {
    const rows = preds.shape.slice(0, -1);
    if (!rows.length || ![`${rows}`, `${rows},1`].includes(`${target.shape}`)) {
      throw new Error(
        `Accuracy takes logits [N,classes] with labels [N] or [N,1], not [${preds.shape}] with [${target.shape}]`,
      );
    }
    const hits = tf.tidy(() =>
      tf.mean(tf.cast(tf.equal(tf.argMax(preds, -1), tf.reshape(target, rows)), "float32"))
    );
    this.#mean.add(hits, preds.shape[0]);
    hits.dispose();
  }
  /** The share over everything since the reset; NaN where there was nothing. */
  compute(): Promise<number> {
    return this.#mean.compute();
  }
  /** Hits and rows so far. */
  state(): Promise<Json> {
    return this.#mean.state();
  }
  /** Goes on from {@link state}. */
  loadState(state: Json): void {
    this.#mean.loadState(state);
  }
}
