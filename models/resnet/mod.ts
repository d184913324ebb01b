/** The Fashion-MNIST classifiers of the lesson (notebook 14). Images are NHWC, 28×28 with one channel. */
import {
  AvgPool2d,
  BatchNorm1d,
  BatchNorm2d,
  Conv2d,
  Dropout,
  Dropout2d,
  Flatten,
  GeneralRelu,
  GlobalAvgPool,
  Linear,
  Module,
  Sequential,
  type Tensor,
  tf,
} from "../../core/mod.ts";

type Layer = Module<[Tensor], Tensor>;
/** Makes an activation. */
export type Act = () => Layer;
/** Makes a norm of so many channels. */
export type Norm = (channels: number) => Layer;

/** What {@link conv} and {@link ResBlock} are made with. */
export interface ConvOptions {
  /** Height and width of the filter; default 3. */
  kernelSize?: number;
  /** Default 2 for `conv`, 1 for `ResBlock`. */
  stride?: number;
  /** null for none; default {@link actGr}. */
  act?: Act | null;
  /** null for none; default none. */
  norm?: Norm | null;
}

/** The lesson's activation: leaky ReLU of slope 0.1, minus 0.4. */
export const actGr: Act = () => new GeneralRelu({ leak: 0.1, sub: 0.4 });
/** Batch norm of images. */
export const batchNorm2d: Norm = (channels) => new BatchNorm2d(channels);

/**
 * Convolution, then norm and activation where given, the image padded so that stride 1 keeps its size. The convolution
 * keeps its bias before a norm too, as the original does.
 */
export function conv(
  ni: number,
  nf: number,
  { kernelSize = 3, stride = 2, act = actGr, norm = null }: ConvOptions = {},
): Sequential {
  const layers: Layer[] = [new Conv2d(ni, nf, kernelSize, { stride, padding: Math.floor(kernelSize / 2) })];
  if (norm) layers.push(norm(nf));
  if (act) layers.push(act());
  return new Sequential(...layers);
}

/** act(conv(conv(x)) + x), x averaged and by a 1×1 convolution where size or channels change (He et al. 2015). */
export class ResBlock extends Module<[Tensor], Tensor> {
  convs: Sequential;
  idconv: Sequential | null;
  pool: AvgPool2d | null;
  act: Layer;

  constructor(
    ni: number,
    nf: number,
    { kernelSize = 3, stride = 1, act = actGr, norm = null }: ConvOptions = {},
  ) {
    super();
    const make = act ?? actGr;
    this.convs = new Sequential(
      conv(ni, nf, { kernelSize, stride: 1, act: make, norm }),
      conv(nf, nf, { kernelSize, stride, act: null, norm }),
    );
    this.idconv = ni === nf ? null : conv(ni, nf, { kernelSize: 1, stride: 1, act: null });
    this.pool = stride === 1 ? null : new AvgPool2d(stride);
    this.act = make();
  }

  override forward(x: Tensor): Tensor {
    let id = this.pool ? this.pool.call(x) : x;
    if (this.idconv) id = this.idconv.call(id);
    return this.act.call(tf.add(this.convs.call(x), id));
  }
}

/** Options of the models. */
export interface ModelOptions {
  /** Default {@link actGr}. */
  act?: Act;
  /** Default {@link batchNorm2d}; null for none. */
  norm?: Norm | null;
}

/** ResBlocks of stride 2 through a list of channels. */
function downTo(channels: number[], options: ConvOptions): ResBlock[] {
  return channels.slice(1).map((nf, i) => new ResBlock(channels[i], nf, { ...options, stride: 2 }));
}

/** Logits of ten classes from nf features. */
const head = (nf: number): Layer[] => [new Linear(nf, 10, { bias: false }), new BatchNorm1d(10)];

/**
 * Six ResBlocks, 16 to 512 channels, then a linear layer: 4,907,588 parameters. Input [N,28,28,1], output [N,10].
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { getModel, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * assert(getModel().parameterCount() === 4_907_588);
 * ```
 */
export function getModel(options: ModelOptions = {}): Sequential {
  return getDropModel(0, options);
}

/**
 * {@link getModel} with `Dropout2d` after the first block and `Dropout` before the linear layer.
 * @param drop rate of both, in [0, 1); 0 leaves them out
 */
export function getDropModel(
  drop = 0,
  { act = actGr, norm = batchNorm2d }: ModelOptions = {},
): Sequential {
  const some = (layer: new (p: number) => Layer) => drop === 0 ? [] : [new layer(drop)];
  return new Sequential(
    new ResBlock(1, 16, { kernelSize: 5, act, norm }),
    ...some(Dropout2d),
    ...downTo([16, 32, 64, 128, 256, 512], { act, norm }),
    new Flatten(),
    ...some(Dropout),
    ...head(512),
  );
}

/** {@link getModel} whose last block keeps its size, then a global average: 4,907,588 parameters, 33.0 MFLOP. */
export function getModel2({ act = actGr, norm = batchNorm2d }: ModelOptions = {}): Sequential {
  return new Sequential(
    new ResBlock(1, 16, { kernelSize: 5, act, norm }),
    ...downTo([16, 32, 64, 128, 256], { act, norm }),
    new ResBlock(256, 512, { act, norm }),
    new GlobalAvgPool(),
    ...head(512),
  );
}

/** {@link getModel2} without the last block: 1,231,428 parameters, 18.3 MFLOP. */
export function getModel3({ act = actGr, norm = batchNorm2d }: ModelOptions = {}): Sequential {
  return new Sequential(
    new ResBlock(1, 16, { kernelSize: 5, act, norm }),
    ...downTo([16, 32, 64, 128, 256], { act, norm }),
    new GlobalAvgPool(),
    ...head(256),
  );
}

/** {@link getModel3} that begins with one convolution: 1,224,948 parameters, 13.3 MFLOP. */
export function getModel4({ act = actGr, norm = batchNorm2d }: ModelOptions = {}): Sequential {
  return new Sequential(
    conv(1, 16, { kernelSize: 5, stride: 1, act, norm }),
    ...downTo([16, 32, 64, 128, 256], { act, norm }),
    new GlobalAvgPool(),
    ...head(256),
  );
}

/** Reports on predictions, as numbers and as pictures. */
export * from "./report.ts";
export * from "./plots.ts";
