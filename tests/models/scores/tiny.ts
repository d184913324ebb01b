/** A network of features that are known. */
import { HostArray, type scores, tf } from "../../../mod.ts";

/** The mean of an image's upper and of its lower half; what is nearer to 1 is of class 1, the rest of class 0. */
export const greyModel: scores.FeatureModel = {
  size: 2,
  hash: "grey",
  features: (images) =>
    tf.tidy(() => {
      const features = tf.mean(tf.reshape(images, [images.shape[0], 2, -1]), 2);
      const mean = tf.mean(features, 1, true);
      return { features, logits: tf.concat([tf.sub(1, mean), mean], 1) };
    }),
};

/** n images of 2×2 with one grey. */
export function greys(n: number, value: number): HostArray {
  return new HostArray(new Float32Array(4 * n).fill(value), [n, 2, 2, 1]);
}
