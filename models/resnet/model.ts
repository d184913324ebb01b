/** The Fashion-MNIST classifiers of the lesson (miniai notebook 14). Images are NHWC, 28×28 with one channel. */
import {
  BatchNorm1d,
  Dropout,
  Dropout2d,
  Flatten,
  GlobalAvgPool,
  Linear,
  Sequential,
} from "../../core/mod.ts";
import {
  type Act,
  actGr,
  conv,
  type ConvOptions,
  type Layer,
  type Norm,
  normBn,
  ResBlock,
} from "./blocks.ts";

/** Options of the models. */
export interface ModelOptions {
  /** Of the convolutions; default {@link actGr}. */
  act?: Act;
  /** Of the images, default {@link normBn}; null for no norm at all, after the linear layer neither. */
  norm?: Norm | null;
}

/** ResBlocks of stride 2 through a list of channels. */
function downTo(channels: number[], options: ConvOptions): ResBlock[] {
  return channels.slice(1).map((nf, i) => new ResBlock(channels[i], nf, { ...options, stride: 2 }));
}

/** Logits of ten classes from nf features; without a norm the linear layer has a bias. */
function head(nf: number, norm: Norm | null): Layer[] {
  return norm ? [new Linear(nf, 10, { bias: false }), new BatchNorm1d(10)] : [new Linear(nf, 10)];
}

/**
 * Six ResBlocks, 16 to 512 channels, then a linear layer: 4,907,588 parameters. Input [N,28,28,1], output [N,10].
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { resnet, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * assert(resnet.getModel().parameterCount() === 4_907_588);
 * ```
 */
export function getModel(options: ModelOptions = {}): Sequential {
  return getDropModel(0, options);
}

/**
 * {@link getModel} with `Dropout2d` after the first block and `Dropout` before the linear layer.
 * @param drop rate of both, in [0, 1]; default 0, which leaves them out
 * @throws RangeError for another rate.
 */
export function getDropModel(
  drop = 0,
  { act = actGr, norm = normBn }: ModelOptions = {},
): Sequential {
  const some = (layer: new (p: number) => Layer) => drop === 0 ? [] : [new layer(drop)];
  return new Sequential(
    new ResBlock(1, 16, { kernelSize: 5, act, norm }),
    ...some(Dropout2d),
    ...downTo([16, 32, 64, 128, 256, 512], { act, norm }),
    new Flatten(),
    ...some(Dropout),
    ...head(512, norm),
  );
}

/**
 * {@link getModel} whose last block keeps its size, then a global average: 4,907,588 parameters, 33.0 MFLOP (as
 * `learn.summary` counts). Input [N,28,28,1], output [N,10].
 */
export function getModel2({ act = actGr, norm = normBn }: ModelOptions = {}): Sequential {
  return new Sequential(
    new ResBlock(1, 16, { kernelSize: 5, act, norm }),
    ...downTo([16, 32, 64, 128, 256], { act, norm }),
    new ResBlock(256, 512, { act, norm }),
    new GlobalAvgPool(),
    ...head(512, norm),
  );
}

/**
 * {@link getModel2} without the last block: 1,231,428 parameters, 18.3 MFLOP (as `learn.summary` counts). Input
 * [N,28,28,1], output [N,10].
 */
export function getModel3({ act = actGr, norm = normBn }: ModelOptions = {}): Sequential {
  return new Sequential(
    new ResBlock(1, 16, { kernelSize: 5, act, norm }),
    ...downTo([16, 32, 64, 128, 256], { act, norm }),
    new GlobalAvgPool(),
    ...head(256, norm),
  );
}

/**
 * {@link getModel3} that begins with one convolution: 1,224,948 parameters, 13.3 MFLOP (as `learn.summary` counts).
 * Input [N,28,28,1], output [N,10].
 */
export function getModel4({ act = actGr, norm = normBn }: ModelOptions = {}): Sequential {
  return new Sequential(
    conv(1, 16, { kernelSize: 5, stride: 1, act, norm }),
    ...downTo([16, 32, 64, 128, 256], { act, norm }),
    new GlobalAvgPool(),
    ...head(256, norm),
  );
}
