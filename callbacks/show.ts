/** `learn.showImageBatch()`. */
import {
  type Batch,
  Callback,
  CancelFitException,
  HostArray,
  type Learner,
  type ShowBatchOptions,
  showImages,
  Tensor,
  tensorsIn,
  tf,
} from "../core/mod.ts";
import { ORDER } from "./order.ts";

/** Draws a batch, and ends the fit before the model sees it. */
class ShowBatchCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.showBatchCB;
  /** The SVG document. */
  svg = "";
  readonly #options: ShowBatchOptions;

  constructor(options: ShowBatchOptions) {
    super();
    this.#options = options;
  }

  override async beforeBatch(learn: Learner): Promise<void> {
    this.svg = await draw(learn.batch, this.#options);
    throw new CancelFitException();
  }
}

async function draw(batch: Batch, { n = 16, classes, ...rest }: ShowBatchOptions): Promise<string> {
  const [images] = tensorsIn(batch), [, labels] = batch;
  const count = Math.min(n, images.shape[0]);
  const shown = HostArray.from(tf.slice(images, 0, count));
  const titles = labels instanceof Tensor && labels.shape.length === 1
    ? Array.from(await labels.data()).slice(0, count).map((label) => classes?.[label] ?? String(label))
    : undefined;
  const drawn = await shown;
  let low = Infinity, high = -Infinity;
  for (const v of drawn.data) [low, high] = [Math.min(low, v), Math.max(high, v)];
  return showImages(drawn, { range: [low, high > low ? high : low + 1], ...rest, titles });
}

/**
 * The first images of a training batch as the model would see them, with their labels if it has any. The model is not
 * run, and all stays as it is, also inside a fit. Source: miniai 14_augment.
 * @returns an SVG document
 * @throws RangeError unless `n` is a positive whole number.
 */
export async function showImageBatch(learn: Learner, options: ShowBatchOptions = {}): Promise<string> {
  const { n = 16 } = options;
  if (!Number.isInteger(n) || n < 1) {
    throw new RangeError(`showImageBatch: n is a positive whole number, not ${n}`);
  }
  const show = new ShowBatchCB(options);
  await learn.fit(1, { valid: false, trial: true, runModel: false, cbs: [show] });
  return show.svg;
}
