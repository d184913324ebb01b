/** Classes that a network is told in training. */
import { type Batch, defaultGenerator, type Generator, HostArray, type Tensor, tf } from "../../core/mod.ts";
import { fixed } from "./parametrisation.ts";

/** What a network of classes is told, beside the numbers of the classes themselves. */
export interface ClassOptions {
  /** How many classes there are; the network has a row more in its table, which stands for none. */
  classes: number;
  /** Share of the images whose class is not told, from 0 to 1; default 0.1 (Ho & Salimans 2022, section 3.2). */
  dropout?: number;
}

/**
 * Classes of which each is dropped with a probability: it becomes the number after the last class, which the network's
 * table has a row for.
 * @param labels int32 [N]
 * @returns int32 [N]
 */
export function dropClasses(
  labels: Tensor,
  { classes, dropout = 0.1 }: ClassOptions,
  generator: Generator = defaultGenerator,
): Tensor {
  return tf.tidy(() => {
    const none = tf.fill(labels.shape, classes, "int32"); // a number that broadcasts would be uploaded
    return tf.where(tf.less(generator.uniform(labels.shape), fixed(dropout)), none, labels);
  });
}

/** @throws RangeError unless classes and their dropout are numbers that can be. */
export function requireConditions(who: string, { classes, dropout = 0.1 }: ClassOptions): void {
  if (!Number.isInteger(classes) || classes < 1) {
    throw new RangeError(`${who}: classes is a positive whole number, not ${classes}`);
  }
  if (!(dropout >= 0 && dropout <= 1)) {
    throw new RangeError(`${who}: dropout lies in [0, 1], not ${dropout}`);
  }
}

/**
 * A batch's images, and its classes where the network is told them.
 * @throws Error if it is still on the host, or has no classes where the network is told them.
 */
export function imagesAndClasses(who: string, batch: Batch, told: boolean): [images: Tensor, labels: Tensor] {
  const [x0, labels] = batch;
  if (x0 instanceof HostArray) {
    throw new Error("The batch is still on the host: add DeviceCB to the callbacks");
  }
  if (told && !labels) throw new Error(`${who}: the batch has no classes behind its images`);
  return [x0, labels];
}
