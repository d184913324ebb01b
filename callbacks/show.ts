/** `learn.showImageBatch()`. */
import { HostArray, Learner, showImages, type ShowOptions, type Tensor, tf } from "../core/mod.ts";
import { SingleBatchCB } from "./single_batch.ts";

/** Options of `learn.showImageBatch`. */
export interface ShowBatchOptions extends Omit<ShowOptions, "titles"> {
  /** Images at most; default 16. */
  n?: number;
  /** Names of the classes; default the numbers. */
  classes?: readonly string[];
}

declare module "../core/learner/learner.ts" {
  interface Learner {
    /** The first images of a training batch as the model sees them, with their labels, as an SVG document. */
    showImageBatch(options?: ShowBatchOptions): Promise<string>;
  }
}

Learner.prototype.showImageBatch = async function (options: ShowBatchOptions = {}) {
  const { n = 16, classes, ...rest } = options;
  // One batch goes through, and nothing is learnt from it.
  this.step = () => {};
  try {
    await this.fit(1, { valid: false, cbs: [new SingleBatchCB()] });
  } finally {
    delete (this as Partial<Learner>).step;
  }
  const [images, labels] = this.batch as Tensor[];
  const count = Math.min(n, images.shape[0]);
  const first = tf.slice(images, 0, count);
  const shown = await HostArray.from(first), names = Array.from(await labels.data()).slice(0, count);
  first.dispose();
  this.releaseKept();
  const low = Math.min(...shown.data), high = Math.max(...shown.data);
  const titles = names.map((label) => classes?.[label] ?? String(label));
  return showImages(shown, { range: [low, high > low ? high : low + 1], ...rest, titles });
};
