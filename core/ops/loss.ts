/** Losses that are one number. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { requireIndices, requireLayout, requireShape, requireType } from "./check.ts";
import { gradient, type None, type Op, run } from "./op.ts";

/** Labels [N] as rows of 0 and 1 in the shape of logits. */
function oneHot(labels: Tensor, logits: Tensor): Tensor {
  const classes = tf.range(0, logits.shape[1]!, 1, "int32");
  return tf.cast(tf.equal(tf.expandDims(labels, 1), classes), "float32");
}

/** @throws unless logits are float32 [N,classes] and labels int32 [N]. */
function requireLabels(op: string, { logits, labels }: { logits: Tensor; labels: Tensor }): void {
  requireType(op, { logits });
  requireType(op, { labels }, "int32");
  requireLayout(op, "logits", logits.shape, "[N,classes]");
  requireShape(op, "labels", labels, [logits.shape[0]], `logits of [${logits.shape}] need one a row,`);
}

/** Mean of (input − target)² over all elements; input and target of one shape, loss a scalar. */
export const MseLoss: Op<{ input: Tensor; target: Tensor }, None, { loss: Tensor }> = {
  name: "MseLoss",
  outputs: ["loss"],
  check({ input, target }) {
    requireType("MseLoss", { input, target });
    requireShape("MseLoss", "target", target, input.shape, "the input");
  },
  reference: ({ input, target }) => ({ loss: tf.mean(tf.square(tf.sub(input, target))) }),
  gradient: gradient(["input", "target"], (dy, { input, target }) => ({
    input: () => run(MseLossGrad, { input, target, dy }, {}).dx,
    target: () => run(MseLossGrad, { input: target, target: input, dy }, {}).dx,
  })),
};

/** The gradient of {@link MseLoss} for its input. */
export const MseLossGrad: Op<{ input: Tensor; target: Tensor; dy: Tensor }, None, { dx: Tensor }> = {
  name: "MseLossGrad",
  outputs: ["dx"],
  check({ input, target, dy }) {
    requireType("MseLossGrad", { input, target, dy });
    requireShape("MseLossGrad", "target", target, input.shape, "the input");
    requireShape("MseLossGrad", "dy", dy, [], "the loss");
  },
  reference: ({ input, target, dy }) => ({ dx: tf.mul(tf.sub(input, target), tf.mul(dy, 2 / input.size)) }),
  gradient: null,
};

/**
 * Mean of log Σ e^logit − the label's logit. logits [N,classes], labels [N] int32 in [0, classes), loss a scalar,
 * logSums [N].
 */
export const CrossEntropy: Op<
  { logits: Tensor; labels: Tensor },
  None,
  { loss: Tensor; logSums: Tensor }
> = {
  name: "CrossEntropy",
  outputs: ["loss", "logSums"],
  check(inputs) {
    requireLabels("CrossEntropy", inputs);
    requireIndices("CrossEntropy", "labels", inputs.labels, inputs.logits.shape[1]!);
  },
  reference({ logits, labels }) {
    const logSums: Tensor = tf.logSumExp(logits, -1);
    const picked = tf.sum(tf.mul(logits, oneHot(labels, logits)), -1);
    return { loss: tf.mean(tf.sub(logSums, picked)), logSums };
  },
  gradient: gradient(["logits", "labels", "logSums"], (dy, { logits, labels, logSums }) => ({
    logits: () => run(CrossEntropyGrad, { logits, labels, logSums, dy }, {}).dx,
    labels: null,
  })),
};

/** The gradient of {@link CrossEntropy} for the logits. */
export const CrossEntropyGrad: Op<
  { logits: Tensor; labels: Tensor; logSums: Tensor; dy: Tensor },
  None,
  { dx: Tensor }
> = {
  name: "CrossEntropyGrad",
  outputs: ["dx"],
  check({ logits, labels, logSums, dy }) {
    requireLabels("CrossEntropyGrad", { logits, labels });
    requireType("CrossEntropyGrad", { logSums, dy });
    requireShape("CrossEntropyGrad", "logSums", logSums, labels.shape, "the labels");
    requireShape("CrossEntropyGrad", "dy", dy, [], "the loss");
  },
  reference({ logits, labels, logSums, dy }) {
    const p = tf.exp(tf.sub(logits, tf.expandDims(logSums, -1)));
    return { dx: tf.mul(tf.sub(p, oneHot(labels, logits)), tf.div(dy, logits.shape[0])) };
  },
  gradient: null,
};
