/** Every `@throws` of the areas that `docs.ts` names is triggered, and every error here is documented. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Adam,
  AdamW,
  ArrayDataset,
  AvgPool2d,
  BatchNorm1d,
  BatchNorm2d,
  Conv2d,
  DataLoader,
  DataLoaders,
  DeviceCB,
  Dropout,
  Dropout2d,
  F,
  Flatten,
  GeneralRelu,
  Generator,
  GlobalAvgPool,
  GroupNorm,
  HostArray,
  init,
  initWeights,
  InverseSqrtLR,
  type Json,
  Linear,
  loaderOf,
  lsuvInit,
  Module,
  nn,
  OneCycleLR,
  type Optimizer,
  Parameter,
  ReLU,
  resnet,
  scores,
  setSeed,
  SGD,
  subset,
  take,
  type Tensor,
  tf,
  timestepEmbedding,
  TrainLearner,
  transforms,
  unet,
  type UNet2DConfig,
  UNet2DModel,
  Upsample,
  withMode,
} from "../mod.ts";
import { documentedErrors } from "./docs.ts";
import { greyModel, greys } from "./models/scores/tiny.ts";
import { wasmOnly } from "./support.ts";
import { TINY } from "./tiny.ts";

/** A call that fails, the class of its error (exactly), and a part of what it says. */
type Failing = [call: () => unknown, kind: ErrorConstructor, says: string];

const line = tf.ones([2, 3]), image = tf.ones([1, 4, 4, 2]), weight = () => new Parameter(tf.ones([2]));
const three = tf.ones([3]), two = tf.ones([2]);
const host = new HostArray(Float32Array.of(0, 1, 2), [3]), set = new ArrayDataset(host);
const pictures = new HostArray(new Uint8Array(4), [1, 2, 2, 1]);
const loader = () => new DataLoader(set, { batchSize: 1 });
const batch = async (of: { batches(skip?: number): AsyncIterable<unknown> }, skip?: number) => {
  for await (const _ of of.batches(skip)) break;
};
const sgd = (...params: Parameter[]) => new SGD(params, { lr: 1 });
const badGradient = (opt: Optimizer) => {
  opt.paramGroups[0].params[0].grad = three;
  return opt;
};
const cycle = (options = {}) => new OneCycleLR(sgd(weight()), { maxLr: 1, totalSteps: 2, ...options });
const generator = new Generator();
const norms = { groups: 2, eps: 1e-5 }, temb = tf.ones([1, 3]);
const block = { ...norms, inChannels: 2, outChannels: 4, tembChannels: 3, addAttention: true, headDim: 2 };
const down = { ...block, layers: 1, addDownsample: false, downsamplePadding: 1 };
const up = { ...block, layers: 1, prevOutputChannel: 4, addUpsample: false };
const skip = {
  eps: 1e-5,
  inChannels: 4,
  outChannels: 8,
  tembChannels: 3,
  layers: 1,
  headDim: null,
  addAttention: false,
};
const skipUp = { ...skip, prevOutputChannel: 4, addUpsample: true };
const level = { embChannels: 3, inChannels: 2, outChannels: 4, layers: 1, attnChannels: 0 };
const middle = { ...norms, channels: 4, tembChannels: 3, addAttention: true, headDim: 2, scaleFactor: 1 };
const attention = { ...norms, channels: 4, headDim: 2 };
const network = (fields: Partial<UNet2DConfig> = {}) => new UNet2DModel({ ...TINY, ...fields });
const ofNoiseLevels = () => new UNet2DModel({ ...TINY, time_embedding_type: "fourier" });
const prediction = {
  predicted: Int32Array.of(0),
  confidence: Float32Array.of(1),
  probabilities: new HostArray(Float32Array.of(1, 0), [1, 2]),
};
class Later extends Module<[], Promise<void>> {
  override forward(): Promise<void> {
    return Promise.resolve();
  }
}
/** A learner whose evaluation is shuffled. */
const shuffled = () => {
  const data = new DataLoader({ x: host, y: host }, { batchSize: 3, shuffle: true });
  return new TrainLearner(new ReLU(), new DataLoaders(data, data), { cbs: [new DeviceCB()] });
};

/** The errors of an optimiser's constructor. */
const optimiser = (make: (params: Parameter[], options: { lr: number }) => unknown): Failing[] => [
  [() => make([], { lr: 1 }), Error, "needs at least one parameter"],
  [() => make([weight()], { lr: -1 }), RangeError, "lr is a number of at least 0, not -1"],
];
/** The errors of an augmentation or transform of an option. */
const change = (make: (option: number) => (x: HostArray, g: Generator) => unknown): Failing[] => [
  [() => make(-1), RangeError, "not -1"],
  [() => make(0.5)(host, generator), RangeError, "takes [N,H,W,C], not [3]"],
];
const positive = (make: (n: number) => unknown): Failing[] => [
  [() => make(0), RangeError, "positive whole number, not 0"],
];
const count = (draw: (n: number) => unknown): Failing[] => [
  [() => draw(-1), RangeError, "n is a whole number from 0 on, not -1"],
];
const images = (layer: Module<[Tensor], Tensor>): Failing[] => [
  [() => layer.call(line), Error, "[N,H,W,C]"],
];

const rows = (n: number, d: number, value = 0) => new HostArray(new Float32Array(n * d).fill(value), [n, d]);
const moments = () => new scores.Moments(2);
const reference: scores.Reference = { moments: moments(), features: rows(9, 2) };
reference.moments.add(reference.features);
const scored = (options: scores.ImageEvalOptions = {}) => new scores.ImageEval(greyModel, reference, options);

const ERRORS: Record<string, Failing[]> = {
  // Modules and layers
  "Module.call": [[() => new Later().call(), Error, "gives a promise"]],
  "Module.loadStateDict": [[() => new Linear(1, 1).loadStateDict({}), Error, "missing: weight, bias"]],
  "new AvgPool2d": positive((n) => new AvgPool2d(n)),
  "AvgPool2d.forward": images(new AvgPool2d()),
  "new BatchNorm": positive((n) => new BatchNorm1d(n)),
  "BatchNorm.forward": [
    [() => new BatchNorm2d(3).call(line), Error, "takes [N,H,W,C], not [2,3]"],
    [() => new BatchNorm1d(3).call(tf.ones([1, 3])), Error, "more than one value"],
  ],
  "new Conv2d": [
    ...positive((n) => new Conv2d(1, 1, n)),
    [() => new Conv2d(1, 1, 1, { padding: -1 }), RangeError, "padding"],
  ],
  "Conv2d.forward": [[() => new Conv2d(2, 1, 7).call(image), Error, "7"]],
  "new Dropout": [[() => new Dropout(2), RangeError, "Dropout: p lies in [0, 1], not 2"]],
  "Dropout2d.forward": images(new Dropout2d()),
  "new Embedding": positive((n) => new nn.Embedding(n, 1)),
  "Embedding.forward": [
    [() => new nn.Embedding(3, 2).call(line), Error, "[2,3]"],
    [() => new nn.Embedding(3, 2).call(tf.tensor1d([3], "int32")), RangeError, "3"],
  ],
  "Flatten.forward": [[() => new Flatten().call(tf.scalar(1)), Error, "not a single number"]],
  "new GeneralRelu": [[() => new GeneralRelu({ maxV: NaN }), RangeError, "maxV"]],
  "GlobalAvgPool.forward": images(new GlobalAvgPool()),
  "new GroupNorm": [
    [() => new GroupNorm(2, 3), Error, "3 channels do not divide into 2 groups"],
    [() => new GroupNorm(1, 3, { eps: -1 }), RangeError, "eps"],
  ],
  "GroupNorm.forward": [[() => new GroupNorm(1, 2).call(line), Error, "[2,3]"]],
  "new Linear": positive((n) => new Linear(n, 1)),
  "Linear.forward": [[() => new Linear(2, 1).call(line), Error, "x has shape [2,3]"]],
  "new Upsample": positive((n) => new Upsample(n)),
  "Upsample.forward": images(new Upsample()),
  "initWeights": [[() => initWeights(new Conv2d(1, 1, 1), NaN), RangeError, "not NaN"]],
  "lsuvInit": [
    [() => lsuvInit(new ReLU(), line, [[new Linear(1, 1, { bias: false }), new ReLU()]]), Error, "no bias"],
    [() => lsuvInit(new ReLU(), line, [], { maxTries: 0 }), RangeError, "maxTries"],
  ],
  "withMode": [[() => withMode(new ReLU(), false, () => Promise.resolve()), Error, "withMode"]],
  // Functions
  "conv2d": [
    [() => F.conv2d(image, tf.ones([5, 5, 2, 1])), Error, "larger"],
    [() => F.conv2d(image, tf.ones([1, 1, 2, 1]), null, { stride: 0 }), RangeError, "stride"],
  ],
  "linear": [[() => F.linear(line, tf.ones([1, 3]), two), Error, "bias has shape [2]"]],
  "groupNorm": [
    [() => F.groupNorm(line, 2, three, three), Error, "do not divide into 2 groups"],
    [
      () => F.groupNorm(line, 1, three, three, { eps: -1 }),
      RangeError,
      "eps is a number above 0, such as 1e-5, not -1",
    ],
  ],
  "batchNorm": [
    [() => F.batchNorm(line, two, two), Error, "gamma has shape [2]"],
    [
      () => F.batchNorm(line, three, three, NaN),
      RangeError,
      "eps is a number above 0, such as 1e-5, not NaN",
    ],
  ],
  "channelAffine": [[() => F.channelAffine(line, two, three), Error, "scale has shape [2]"]],
  "attention": [
    [() => F.attention(tf.ones([1, 2, 3]), tf.ones([1, 4, 3]), tf.ones([1, 4, 3]), 1), Error, "k has shape"],
    [() => F.attention(tf.ones([1, 2, 3]), tf.ones([1, 2, 3]), tf.ones([1, 2, 3]), 0), RangeError, "not 0"],
  ],
  "addChannels": [[() => F.addChannels(image, line), Error, "b has shape [2,3]"]],
  "generalRelu": [[() => F.generalRelu(line, NaN), RangeError, "leak is a finite number, not NaN"]],
  "averagePool": [
    [() => F.averagePool(line), Error, "not of shape [2,3]"],
    [() => F.averagePool(image, 1.5), RangeError, "not 1.5"],
  ],
  "upsampleNearest": [
    [() => F.upsampleNearest(line), Error, "not of shape [2,3]"],
    [() => F.upsampleNearest(image, 0), RangeError, "not 0"],
  ],
  "dropout": [
    [() => F.dropout(line, -1), RangeError, "dropout: p lies in [0, 1], not -1"],
    [() => F.dropout(line, 0.5, [2]), RangeError, "has no axis 2"],
  ],
  "mseLoss": [[() => F.mseLoss(line, three), Error, "target has shape [3]"]],
  "crossEntropy": [
    [() => F.crossEntropy(line, three), Error, "labels has shape [3]"],
    [() => F.crossEntropy(line, tf.tensor1d([0, 3])), RangeError, "not 3 at place 1"],
    [() => F.crossEntropy(line, tf.tensor1d([0, 0.5])), RangeError, "not 0.5"],
  ],
  // Initialisers
  "constant": [[() => init.constant([1], NaN), RangeError, "not NaN"]],
  "uniform": [[() => init.uniform([1], -1), RangeError, "at least 0, not -1"]],
  "normal": [[() => init.normal([1], -1), RangeError, "at least 0, not -1"]],
  "torchDefault": [[() => init.torchDefault([1], 0), RangeError, "not 0"]],
  "kaimingNormal": [
    [() => init.kaimingNormal([3]), RangeError, "not of shape [3]"],
    [() => init.kaimingNormal([1, 1], NaN), RangeError, "not NaN"],
  ],
  "kaimingUniform": [
    [() => init.kaimingUniform([3]), RangeError, "not of shape [3]"],
    [() => init.kaimingUniform([1, 1], NaN), RangeError, "not NaN"],
  ],
  "orthogonal": [
    [() => init.orthogonal([3]), RangeError, "not of shape [3]"],
    [() => init.orthogonal([1, 1], NaN), RangeError, "not NaN"],
  ],
  // Optimisers and schedules
  "new Optimizer": optimiser((params, options) => new SGD(params, options)),
  "Optimizer.loadState": [
    [() => sgd(weight()).loadState(sgd(weight(), weight()).state()), Error, "is of 2 parameters"],
    [() => sgd(weight()).loadState({ ...sgd(weight()).state(), step: -1 }), RangeError, "not -1"],
  ],
  "Optimizer.requireGradients": [[() => badGradient(sgd(weight())).step(), Error, "has shape [3]"]],
  "new SGD": optimiser((params, options) => new SGD(params, options)),
  "SGD.step": [[() => badGradient(sgd(weight())).step(), Error, "SGD: the gradient of parameter 0 has"]],
  "new Adam": optimiser((params, options) => new Adam(params, options)),
  "Adam.step": [[() => badGradient(new Adam([weight()])).step(), Error, "Adam: the gradient of parameter 0"]],
  "new AdamW": optimiser((params, options) => new AdamW(params, options)),
  "new InverseSqrtLR": [
    [() => new InverseSqrtLR(sgd(weight()), { maxLr: 1, flat: 0 }), RangeError, "flat"],
  ],
  "new OneCycleLR": [[() => cycle({ totalSteps: 0 }), RangeError, "totalSteps"]],
  "OneCycleLR.stepNum": [[() => cycle().stepNum = 3, RangeError, "from 0 to 2, not 3"]],
  "OneCycleLR.step": [[() => Object.assign(cycle(), { stepNum: 2 }).step(), Error, "of 2 steps is over"]],
  "OneCycleLR.at": [[() => cycle().at(-1), RangeError, "from 0 to 2, not -1"]],
  // Random numbers
  "new Generator": [[() => new Generator(-1), RangeError, "A seed is a whole number"]],
  "Generator.seed": [[() => generator.seed = 0.5, RangeError, "not 0.5"]],
  "Generator.state": [[() => generator.state = { seed: 0, counter: -1 }, RangeError, "not -1"]],
  "Generator.normal": [[() => generator.normal([-1]), RangeError, "not -1"]],
  "Generator.uniform": [[() => generator.uniform([0.5]), RangeError, "not 0.5"]],
  "Generator.randint": [
    [() => generator.randint([1], 2, 2), RangeError, "No whole number lies in [2, 2)"],
    [() => generator.randint([1], 0, 2 ** 32), RangeError, "-2^31 to 2^31"],
    [() => generator.randint([-1], 0, 2), RangeError, "not -1"],
  ],
  "Generator.uniformArray": count((n) => generator.uniformArray(n)),
  "Generator.normalArray": count((n) => generator.normalArray(n)),
  "Generator.randintArray": count((n) => generator.randintArray(n, 0, 2)),
  "Generator.permutation": count((n) => generator.permutation(n)),
  "setSeed": [[() => setSeed(-1), RangeError, "A seed is a whole number"]],
  // Data
  "new HostArray": [
    [() => new HostArray([1] as never, [1]), TypeError, "not Array"],
    [() => new HostArray(new Uint8Array(1), [-1, -1]), RangeError, "not [-1,-1]"],
    [() => new HostArray(new Uint8Array(1), [2]), Error, "1 numbers do not fill the shape [2]"],
  ],
  "new ArrayDataset": [[() => new ArrayDataset(), RangeError, "not none"]],
  "ArrayDataset.items": [[() => set.items(Int32Array.of(3)), RangeError, "has none at 3"]],
  "subset": [[() => subset(set, Int32Array.of(3)), RangeError, "has none at 3"]],
  "take": [[() => take(set, -1), RangeError, "not -1"]],
  "new DataLoader": [[() => new DataLoader(set, { batchSize: 0 }), RangeError, "not 0"]],
  "DataLoader.loadState": [[() => loader().loadState({} as Json), Error, "DataLoader's state"]],
  "DataLoader.batches": [
    [() => batch(loader(), -1), RangeError, "not -1"],
    [() => batch(new DataLoader({ length: 1, items: () => [] }, { batchSize: 1 })), Error, "gives no array"],
  ],
  "loaderOf": [
    [() => loaderOf([] as never), TypeError, "takes a function"],
    [() => loaderOf(() => [], { length: -1 }), RangeError, "length is a whole number from 0 on, not -1"],
  ],
  "DataLoaders.from": [[() => DataLoaders.from(set, set, { batchSize: 0 }), RangeError, "not 0"]],
  "normalize": [[() => transforms.normalize(0, 0), RangeError, "not 0"]],
  "padZeros": [
    [() => transforms.padZeros(-1), RangeError, "not -1"],
    [() => transforms.padZeros(1)(host), RangeError, "takes [N,H,W,C], not [3]"],
  ],
  "resizeBilinear": [
    [() => transforms.resizeBilinear(0), RangeError, "not 0"],
    [() => transforms.resizeBilinear(1)(host), RangeError, "takes [N,H,W,C], not [3]"],
  ],
  "toFloat": [
    [() => transforms.toFloat(1, 1), RangeError, "not 1 and 1"],
    [() => transforms.toFloat(-Infinity, 0), RangeError, "not -Infinity and 0"],
  ],
  "flipHorizontal": [[() => transforms.flipHorizontal(host), RangeError, "takes [N,H,W,C], not [3]"]],
  "randCopy": change((pct) => transforms.randCopy({ pct })),
  "randErase": change((pct) => transforms.randErase({ pct })),
  "randomCrop": change((padding) => transforms.randomCrop(Math.floor(padding))),
  "randomFlip": change((p) => transforms.randomFlip(p)),
  // U-Net
  "new AttentionBlock": [
    [() => new unet.AttentionBlock({ ...attention, headDim: 3 }), Error, "heads of 3"],
    [() => new unet.AttentionBlock({ ...attention, eps: -1 }), RangeError, "eps"],
  ],
  "AttentionBlock.forward": [[
    () => new unet.AttentionBlock(attention).call(line),
    Error,
    "[N,H,W,C], not [2,3]",
  ]],
  "new DownBlock": [
    [() => new unet.DownBlock({ ...down, groups: 3 }), Error, "3 groups"],
    [() => new unet.DownBlock({ ...down, layers: 0 }), RangeError, "layers"],
  ],
  "new SkipDownBlock": [
    [() => new unet.SkipDownBlock({ ...skip, addDownsample: true, addAttention: true }), Error, "32 groups"],
    [() => new unet.SkipDownBlock({ ...skip, addDownsample: true, layers: 0 }), RangeError, "layers"],
  ],
  "SkipDownBlock.forward": [[
    () => new unet.SkipDownBlock({ ...skip, addDownsample: true }).call(image, temb, tf.ones([1, 4, 4, 3])),
    Error,
    "[1,4,4,2]",
  ]],
  "new SkipUpBlock": [
    [() => new unet.SkipUpBlock({ ...skipUp, addAttention: true }), Error, "8 channels do not divide"],
    [() => new unet.SkipUpBlock({ ...skipUp, layers: 0 }), RangeError, "layers"],
  ],
  "SkipUpBlock.forward": [[
    () => new unet.SkipUpBlock(skipUp).call(image, [], temb, null),
    Error,
    "takes 1 skip connections",
  ]],
  "firDown": [[() => unet.firDown(tf.ones([1, 3, 4, 1])), Error, "not [1,3,4,1]"]],
  "firUp": [[() => unet.firUp(line), Error, "[N,H,W,C]"]],
  "completeConfig": [[() => unet.completeConfig({ norm_eps: -1 }), Error, "norm_eps"]],
  "toDiffusersConfig": [
    [() => unet.toDiffusersConfig({ norm_eps: -1 }), Error, "norm_eps"],
    [() => unet.toDiffusersConfig({ _class_name: "VQModel" } as never), Error, "VQModel"],
  ],
  "new GaussianFourierProjection": [
    ...positive((n) => new unet.GaussianFourierProjection(n, 1)),
    [() => new unet.GaussianFourierProjection(1, 0), RangeError, "scale is a number above 0, not 0"],
  ],
  "GaussianFourierProjection.forward": [
    [() => new unet.GaussianFourierProjection(2, 1).call(line), RangeError, "[2,3]"],
    [() => new unet.GaussianFourierProjection(2, 1).call(tf.zeros([2])), RangeError, "above 0"],
  ],
  "DownBlock.forward": [
    [() => new unet.DownBlock(down).call(image, tf.ones([1, 2])), Error, "x has shape [1,2]"],
  ],
  "new Downsample2D": [[() => new unet.Downsample2D(1, 2), RangeError, "padding is 0 or 1, not 2"]],
  "Downsample2D.forward": images(new unet.Downsample2D(2, 0)),
  "new ResnetBlock2D": [
    [() => new unet.ResnetBlock2D({ ...block, groups: 3 }), Error, "3 groups"],
    [() => new unet.ResnetBlock2D({ ...block, outputScaleFactor: 0 }), RangeError, "not 0"],
  ],
  "ResnetBlock2D.forward": [
    [() => new unet.ResnetBlock2D(block).call(image, tf.ones([1, 2])), Error, "x has shape [1,2]"],
  ],
  "new UNetMidBlock2D": [
    [() => new unet.UNetMidBlock2D({ ...middle, headDim: 3 }), Error, "heads of 3"],
    [() => new unet.UNetMidBlock2D({ ...middle, scaleFactor: 0 }), RangeError, "not 0"],
  ],
  "UNetMidBlock2D.forward": [[() => new unet.UNetMidBlock2D(middle).call(image, temb), Error, "[1,4,4,2]"]],
  "new UpBlock": [
    [() => new unet.UpBlock({ ...up, groups: 3 }), Error, "3 groups"],
    [() => new unet.UpBlock({ ...up, layers: 0.5 }), RangeError, "layers"],
  ],
  "UpBlock.forward": [[() => new unet.UpBlock(up).call(image, [], temb), Error, "takes 1 skip connections"]],
  "new Upsample2D": positive((n) => new unet.Upsample2D(n)),
  "Upsample2D.forward": images(new unet.Upsample2D(2)),
  "new TimestepEmbedding": positive((n) => new unet.TimestepEmbedding(n, 1)),
  "TimestepEmbedding.forward": [[() => new unet.TimestepEmbedding(2, 2).call(line), Error, "[2,3]"]],
  "timestepEmbedding": [
    [() => timestepEmbedding(two, 2), RangeError, "not 2 / 2"],
    [() => timestepEmbedding(two, 8, { maxPeriod: 0 }), RangeError, "maxPeriod"],
    [() => timestepEmbedding(line, 8), RangeError, "t is [N]"],
  ],
  "new CondUNetModel": [[() => new unet.CondUNetModel(2, { nfs: [] }), RangeError, "nfs"]],
  "CondUNetModel.forward": [[
    () => new unet.CondUNetModel(2, { nfs: [4] }).call(image, 1),
    Error,
    "no classes",
  ]],
  "new EmbUNet": [[() => new unet.EmbUNetModel({ num_layers: 0 }), RangeError, "num_layers"]],
  "new EmbUNetModel": [
    [() => new unet.EmbUNetModel({ nfs: [4, 4], attn_chans: 3 }), RangeError, "heads of 3"],
  ],
  "EmbUNetModel.forward": [[() => new unet.EmbUNetModel({ nfs: [4] }).call(image), Error, "there is no t"]],
  "new EmbResBlock": [[() => new unet.EmbResBlock(1, 2, 4, 3), RangeError, "heads of 3"]],
  "new EmbDownBlock": [[
    () => new unet.EmbDownBlock({ ...level, layers: 0, addDown: true }),
    RangeError,
    "layers",
  ]],
  "new EmbUpBlock": [
    [
      () => new unet.EmbUpBlock({ ...level, attnChannels: 3, prevChannels: 2, addUp: true }),
      RangeError,
      "heads of 3",
    ],
  ],
  "EmbUpBlock.forward": [
    [
      () => new unet.EmbUpBlock({ ...level, prevChannels: 2, addUp: true }).call(image, temb, []),
      Error,
      "takes 1",
    ],
  ],
  "preConv": [
    ...positive((n) => unet.preConv(n, 1)),
    [() => unet.preConv(1, 1, { kernelSize: 2 }), RangeError, "an odd number, not 2"],
  ],
  "new SelfAttention": [[() => new unet.SelfAttention(4, 3), RangeError, "heads of 3"]],
  "new PatchUNet": [[() => new unet.PatchUNet({ ...TINY, patch_size: 0 }), Error, "patch_size"]],
  "PatchUNet.forward": [
    [() => new unet.PatchUNet(TINY).call(tf.ones([1, 8, 8, 1])), Error, "there is no t"],
    [() => new unet.PatchUNet(TINY).call(tf.ones([1, 7, 8, 1]), 1), RangeError, "patches of 2×2"],
  ],
  "toPatches": [0, 0.5, 3].map((p) => [() => unet.toPatches(image, p), RangeError, `${p}`]),
  "fromPatches": [0, 0.5, 2].map((p) => [() => unet.fromPatches(image, p), RangeError, `${p}`]),
  "new UNet2D": [[() => network({ norm_num_groups: 3 }), Error, "3 groups"]],
  "UNet2D.predict": [
    [() => network().call(tf.ones([1, 7, 8, 1]), 0), Error, "does not halve 1 times"],
    [() => ofNoiseLevels().call(tf.ones([1, 8, 8, 1]), -1), RangeError, "above 0"],
  ],
  "UNet2DModel.forward": [
    [() => ofNoiseLevels().call(tf.ones([1, 8, 8, 1]), 0), RangeError, "above 0"],
    [() => network().call(image, 0), Error, "takes images [N,H,W,1]"],
    [() => network().call(tf.ones([1, 8, 8, 1]), three), Error, "t"],
    [() => network().call(tf.ones([1, 8, 8, 1]), 0, 3), Error, "classes are given"],
  ],
  // Classifiers
  "conv": [...positive((n) => resnet.conv(n, 1)), [
    () => resnet.conv(1, 1, { kernelSize: 2 }),
    RangeError,
    "odd",
  ]],
  "new ResBlock": positive((n) => new resnet.ResBlock(n, 1)),
  "ResBlock.forward": [[() => new resnet.ResBlock(1, 1).call(line), Error, "[N,H,W,C]"]],
  "getDropModel": [[() => resnet.getDropModel(2), RangeError, "not 2"]],
  "confusionPlot": [[() => resnet.confusionPlot([[1]], []), RangeError, "0 names of 1 classes"]],
  "leastConfident": [[() => resnet.leastConfident(prediction, -1), RangeError, "not -1"]],
  "mostWrong": [
    [() => resnet.mostWrong(prediction, [0], -1), RangeError, "not -1"],
    [() => resnet.mostWrong(prediction, [2], 1), RangeError, "not 2 at place 0"],
  ],
  "showPredictions": [
    [() => resnet.showPredictions(pictures, [0], prediction, [1], ["a"]), RangeError, "none at 1"],
  ],
  "averagePasses": [[() => resnet.averagePasses([host as HostArray<Float32Array>]), Error, "not [3]"]],
  "calibration": [[() => resnet.calibration(prediction, [0], 0), RangeError, "not 0"]],
  "confusionMatrix": [[() => resnet.confusionMatrix([0], [2], 2), RangeError, "not 2 at place 0"]],
  "testTimeDropout": [
    [() => resnet.testTimeDropout(shuffled(), 0), RangeError, "not 0"],
    [() => resnet.testTimeDropout(shuffled(), 2), Error, "make it without shuffle"],
  ],
  // Scores
  "new Moments": positive((n) => new scores.Moments(n)),
  "Moments.add": [
    [() => moments().add(rows(1, 3)), RangeError, "[N,2], not [1,3]"],
    [() => moments().add(rows(1, 2, Infinity)), Error, "feature 0 of item 0 is Infinity"],
  ],
  "Moments.merge": [[() => moments().merge(new scores.Moments(3)), RangeError, "3 numbers a feature"]],
  "Moments.covariance": [[() => moments().covariance(), RangeError, "not of 0"]],
  "Moments.from": [[() => scores.Moments.from(Float64Array.of(1, 2)), RangeError, "no moments"]],
  "frechetDistance": [
    [() => scores.frechetDistance(moments(), new scores.Moments(3)), RangeError, "of 2 and of 3 numbers"],
    [() => scores.frechetDistance(moments(), moments()), RangeError, "at least 2 features"],
  ],
  "classifierFeatures": [
    [() => scores.classifierFeatures(new URL("./none", import.meta.url)), Error, "none"],
  ],
  "squaredMmd": [
    [() => scores.squaredMmd(rows(2, 2), rows(2, 3)), RangeError, "not [2,2] and [2,3]"],
    [() => scores.squaredMmd(rows(1, 2), rows(2, 2)), RangeError, "at least 2 features"],
  ],
  "kernelDistance": [[
    () => scores.kernelDistance(rows(7, 2), rows(9, 2)),
    RangeError,
    "at least 2 features",
  ]],
  "precisionRecall": [
    [() => scores.precisionRecall(rows(5, 2), rows(5, 3)), RangeError, "not [5,2] and [5,3]"],
    [() => scores.precisionRecall(rows(5, 2), rows(5, 2), { k: 0 }), RangeError, "from 1 on, not 0"],
    [() => scores.precisionRecall(rows(5, 2), rows(3, 2)), RangeError, "more than k = 3 features"],
  ],
  "new ImageEval": [
    [() => scored({ range: [1, 0] }), RangeError, "not [1, 0]"],
    [() => new scores.ImageEval({ ...greyModel, size: 3 }, reference), RangeError, "have 2 numbers"],
  ],
  "ImageEval.of": [[
    () => scores.ImageEval.of(greyModel, ReadableStream.from([[greys(9, 1)]]), { range: [1, 1] }),
    RangeError,
    "not [1, 1]",
  ]],
  "ImageEval.begin": [[() => scored().begin(7), RangeError, "from 8 on, not 7"]],
  "ImageEval.scores": [
    [() => scored().scores(greys(7, 1)), RangeError, "from 8 on, not 7"],
    [() => scored().scores(greys(8, 1), [1]), RangeError, "1 labels of 8 images"],
    [() => scored().scores(greys(8, NaN)), Error, "is NaN"],
  ],
  "ImageEval.fid": [[() => scored().fid(greys(1, 1)), RangeError, "at least 2 features"]],
  "ImageEval.kid": [[() => scored().kid(greys(7, 1)), RangeError, "from 8 on, not 7"]],
  "new ScoreSums": [
    [() => new scores.ScoreSums(scored(), 8.5), RangeError, "not 8.5"],
    [
      () => new scores.ScoreSums(new scores.ImageEval(greyModel, { ...reference, features: rows(7, 2) }), 8),
      RangeError,
      "has 7 features",
    ],
  ],
  "ScoreSums.add": [
    [() => scored().begin(8).add(greys(9, 1)), RangeError, "9 images are more than the 8"],
    [() => scored().begin(8).add(greys(2, 1), [1]), RangeError, "1 labels of 2 images"],
    [() => scored().begin(8).add(greys(2, NaN)), Error, "is NaN"],
  ],
  "ScoreSums.fid": [[() => scored().begin(8).fid(), RangeError, "at least 2 features"]],
  "ScoreSums.kid": [[() => scored().begin(8).kid(), Error, "0 of the 8 images"]],
  "ScoreSums.scores": [[() => scored().begin(8).scores(), Error, "0 of the 8 images"]],
  "new ScoreCB": [[
    () => new scores.ScoreCB({ evaluation: scored(), draw: () => Promise.reject(), every: 0 }),
    RangeError,
    "every is a positive whole number, not 0",
  ]],
  "ScoreCB.loadState": [[
    () => new scores.ScoreCB({ evaluation: scored(), draw: () => Promise.reject() }).loadState(1),
    Error,
    "ScoreCB: it is 1",
  ]],
};

Deno.test({
  name: "each @throws has a call here that throws, and each call a @throws that names its class",
  ...wasmOnly,
  async fn() {
    const said = await documentedErrors();
    assertEquals(Object.keys(ERRORS).sort(), [...said.keys()].sort());
    for (const [name, doc] of said) {
      const named = new Set(doc.match(/\b(Range|Type)?Error\b/g));
      assertEquals(new Set(ERRORS[name].map(([, kind]) => kind.name)), named, `${name}: ${doc}`);
    }
  },
});

for (const [name, failing] of Object.entries(ERRORS)) {
  Deno.test(`${name} throws what its docstring says`, async () => {
    for (const [call, kind, says] of failing) {
      const error = await assertRejects(async () => await call(), kind, says);
      assert(error.constructor === kind, `${name} throws a ${error.constructor.name}, not ${kind.name}`);
    }
  });
}
