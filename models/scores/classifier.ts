/** Features of images by the classifier that ships with Denoise. */
import {
  type Linear,
  loadWeights,
  noGrad,
  readBytes,
  sha256,
  type Tensor,
  tf,
  withMode,
} from "../../core/mod.ts";
import { getModel3 } from "../resnet/mod.ts";

const WEIGHTS = new URL("./weights/fashion_mnist_classifier.safetensors", import.meta.url);

/** A network that tells images apart by features. */
export interface FeatureModel {
  /** Numbers of a feature. */
  readonly size: number;
  /** The SHA-256 of the network's weights, so that scores by another are not taken for the same. */
  readonly hash: string;
  /**
   * Features of images, and what class it takes each for where it has classes.
   * @param images [N,H,W,C] in [0, 1]; they stay the caller's
   * @returns features [N,size] and logits [N,classes], which the caller frees
   */
  features(images: Tensor): { features: Tensor; logits?: Tensor };
}

/** Mean and standard deviation of the pixels that classifiers are trained with (`deno task classify`). */
const MEAN = 0.28, STD = 0.35;

/**
 * The 256 features before the last layer of a classifier of Fashion-MNIST, `resnet.getModel3` as `deno task classify
 * --preset twenty --model getModel3 --epochs 6` trains it; images [N,28,28,1] in [0, 1].
 * @param weights where they are; default beside this module
 * @throws Error that names the address if they are not there, or the weights if they are none of this network.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { scores, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = await scores.classifierFeatures();
 * const { features, logits } = model.features(tf.zeros([2, 28, 28, 1]));
 * assert(features.shape.join() === "2,256" && logits!.shape.join() === "2,10");
 * ```
 */
export async function classifierFeatures(weights: URL = WEIGHTS): Promise<FeatureModel> {
  const bytes = await readBytes(weights), model = getModel3();
  await loadWeights(model, bytes);
  const { layers } = model, body = layers.slice(0, -2), head = layers.slice(-2);
  const run = (images: Tensor) => {
    const x = tf.div(tf.sub(images, MEAN), STD);
    const features = body.reduce((y, layer) => layer.call(y), x);
    return { features, logits: head.reduce((y, layer) => layer.call(y), features) };
  };
  return {
    size: (head[0] as Linear).inFeatures,
    hash: await sha256(bytes),
    features: (images) => withMode(model, false, () => noGrad(() => tf.tidy(() => run(images)))),
  };
}
