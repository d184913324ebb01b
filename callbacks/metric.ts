/** What MetricsCB measures: the interface, a mean on the device, accuracy. */
import { type Json, type Tensor, tf } from "../core/mod.ts";

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

/** A weighted mean whose sums stay on the device, so that a batch waits for no read. */
export class Mean {
  #total: Tensor | null = null;
  #weight = 0;

  /**
   * Adds a scalar tensor with a weight.
   * @throws Error for a tensor of another shape.
   */
  add(value: Tensor, weight: number): void {
    if (value.size !== 1) throw new Error(`Mean.add takes a scalar, not a tensor of shape [${value.shape}]`);
    const before = this.#total;
    this.#total = tf.keep(tf.tidy(() => {
      const part = tf.mul(value, weight);
      return before ? tf.add(before, part) : part;
    }));
    before?.dispose();
    this.#weight += weight;
  }

  /** Forgets what it has seen. */
  reset(): void {
    this.#total?.dispose();
    this.#total = null;
    this.#weight = 0;
  }

  /** Sum and weight so far. */
  async state(): Promise<[sum: number, weight: number]> {
    return [this.#total ? (await this.#total.data())[0] : 0, this.#weight];
  }

  /** Goes on from {@link state}, with the rounding of a mean that never stopped. */
  loadState([sum, weight]: [number, number]): void {
    this.reset();
    if (weight) this.#total = tf.keep(tf.scalar(sum));
    this.#weight = weight;
  }

  /** Sum / weight; NaN before the first {@link add}. */
  async compute(): Promise<number> {
    const [sum, weight] = await this.state();
    return sum / weight;
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
    this.#mean.loadState(state as [number, number]);
  }
}
