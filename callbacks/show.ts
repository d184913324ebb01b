/** `learn.showImageBatch()`. */
import {
  Callback,
  CancelFitException,
  HostArray,
  Learner,
  showImages,
  type ShowOptions,
  Tensor,
  tf,
} from "../core/mod.ts";
import { tensorsIn } from "./single_batch.ts";

/** Options of `learn.showImageBatch`. */
export interface ShowBatchOptions extends Omit<ShowOptions, "titles"> {
  /** Images at most; default 16. */
  n?: number;
  /** Names of the classes; default the numbers. */
  classes?: readonly string[];
}

/** Ends the fit before the model sees a batch, which stays usable. */
class LookCB extends Callback {
  override order = Infinity;
  beforeBatch(learn: Learner): void {
    learn.keep(...tensorsIn(learn.batch));
    throw new CancelFitException();
  }
}

declare module "../core/learner/learner.ts" {
  interface Learner {
    /**
     * The first images of a training batch as the model would see them, with their labels if it has any, as an SVG
     * document. The model is not run. Source: miniai 14_augment.
     */
    showImageBatch(options?: ShowBatchOptions): Promise<string>;
  }
}

Learner.prototype.showImageBatch = async function (options: ShowBatchOptions = {}) {
  const { n = 16, classes, ...rest } = options;
  await this.fit(1, { valid: false, cbs: [new LookCB()] });
  const [images] = tensorsIn(this.batch), [, labels] = this.batch;
  const count = Math.min(n, images.shape[0]);
  const first = tf.slice(images, 0, count);
  const shown = await HostArray.from(first);
  first.dispose();
  const titles = labels instanceof Tensor && labels.shape.length === 1
    ? Array.from(await labels.data()).slice(0, count).map((label) => classes?.[label] ?? String(label))
    : undefined;
  this.releaseKept();
  let low = Infinity, high = -Infinity;
  for (const v of shown.data) [low, high] = [Math.min(low, v), Math.max(high, v)];
  return showImages(shown, { range: [low, high > low ? high : low + 1], ...rest, titles });
};
