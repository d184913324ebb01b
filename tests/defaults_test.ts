/**
 * Every default that a docstring of the areas of `docs.ts` names: an option left out, one given as undefined and one given
 * as the docstring says are the same, and another one is not.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  Adam,
  AdamW,
  AvgPool2d,
  BatchNorm1d,
  Conv2d,
  DataLoader,
  Dropout,
  F,
  Flatten,
  GeneralRelu,
  Generator,
  GroupNorm,
  HostArray,
  init,
  initWeights,
  InverseSqrtLR,
  Linear,
  loaderOf,
  lsuvInit,
  type Module,
  OneCycleLR,
  type Optimizer,
  Parameter,
  ReLU,
  resnet,
  saveWeights,
  scores,
  Sequential,
  setSeed,
  SGD,
  type Tensor,
  tf,
  timestepEmbedding,
  transforms,
  unet,
  UNET2D_DEFAULTS,
  Upsample,
} from "../mod.ts";
import { imageLearner } from "./images.ts";
import { greyModel, greys } from "./models/scores/tiny.ts";
import { documentedDefaults, documentedFields } from "./docs.ts";
import { numbers, random, wasmOnly } from "./support.ts";

/** A call with an option or without, a value for it that changes the result, and the default where no literal names it. */
interface Default {
  // deno-lint-ignore no-explicit-any
  call: (...value: [] | [any]) => unknown;
  other: unknown;
  value?: unknown;
}

/** A default of an option by its name. */
// deno-lint-ignore no-explicit-any
const option = (name: string, call: (options: any) => unknown, other: unknown, value?: unknown): Default => ({
  call: (...given) => call(given.length ? { [name]: given[0] } : {}),
  other,
  value,
});

const line = random([3, 4], 1), image = random([1, 5, 6, 2], 2), filter = random([3, 3, 2, 2], 3);
const four = random([4], 4),
  pictures = new HostArray(Float32Array.from({ length: 200 }, (_, i) => i), [2, 10, 10, 1]);
const pixels = new HostArray(Uint8Array.from({ length: 6 }, (_, i) => i), [6, 1]);
const three = [1, 2, 3];

/** Where a parameter is after three steps, the third with another gradient. */
async function stepped(make: (p: Parameter[]) => Optimizer): Promise<number[]> {
  const p = new Parameter(tf.tensor1d([1, -2])), opt = make([p]);
  for (const slope of three) {
    p.setGrad(tf.tensor1d([0.3 * slope, 1e-7]));
    opt.step();
  }
  return await numbers(p);
}
const cycled = (options: object) => {
  const opt = new Adam([new Parameter(tf.ones([1]))]);
  const schedule = new OneCycleLR(opt, { maxLr: 1, totalSteps: 10, ...options });
  return Array.from({ length: 10 }, (_, i) => {
    schedule.stepNum = i;
    return [opt.paramGroups[0].lr, opt.paramGroups[0].betas![0]];
  });
};
const rates = (options: object) => {
  const opt = new SGD([new Parameter(tf.ones([1]))], { lr: 1 });
  const schedule = new InverseSqrtLR(opt, { maxLr: 1, ...options });
  return [0, 3, 20_000].map((step) => {
    schedule.stepNum = step;
    return opt.paramGroups[0].lr;
  });
};
/** Two passes of a loader of six items, and how many had been asked for at each batch. */
const passes = async (options: object) => {
  const asked: number[] = [];
  const items = (indices: Int32Array) => {
    asked.push(...indices);
    return [new HostArray(Uint8Array.from(indices), [indices.length])];
  };
  const loader = new DataLoader({ length: 6, items }, { batchSize: 4, ...options });
  const seen: unknown[] = [];
  for (let pass = 0; pass < 2; pass++) {
    for await (const [x] of loader) seen.push([...x.data], asked.length);
  }
  return seen;
};
const doubled = ({ data, shape }: HostArray) => new HostArray(data.map((v) => 2 * v), shape);
/** A stream of twelve images. */
const greyBatches = () => ReadableStream.from([[greys(6, 0.25)], [greys(6, 0.5)]]);
const seenByListener: number[] = [];
/** A classifier that was not trained, as a file. */
const otherClassifier = new URL(`file://${await Deno.makeTempFile({ suffix: ".safetensors" })}`);
await saveWeights(resnet.getModel3(), otherClassifier.pathname);
addEventListener("unload", () => Deno.removeSync(otherClassifier));
/** Forty features of two numbers. */
const ofTwo = (seed: number) => {
  const points = Float32Array.from({ length: 80 }, (_, i) => Math.sin(seed * (i + 1) * 1.7));
  return new HostArray(points, [40, 2]);
};
/** What features are taken of, of greys of 0.25. */
const prepared = async (options: object) => {
  const evaluation = await scores.ImageEval.of(greyModel, greyBatches(), options);
  return [...evaluation.prepared(greys(1, 0.25)).data];
};
/** What a fit of two epochs draws, and which are scored. */
const scoring = async (options: object) => {
  const evaluation = await scores.ImageEval.of(greyModel, greyBatches()), drawn: number[] = [];
  const score = new scores.ScoreCB({
    evaluation,
    draw: (_, n, { seed }, from) => {
      drawn.push(n, seed, from);
      return Promise.resolve({ images: greys(n, 0.5) });
    },
    ...options,
  });
  score.log = () => {};
  await (await imageLearner(new Sequential(new Flatten(), new Linear(784, 10)))).fit(2, { cbs: [score] });
  return [...drawn, ...score.rows.map(({ epoch }) => epoch)];
};
/** What a model gives that is made anew with the same random numbers. */
const fresh = (make: () => Module<[Tensor], Tensor>, x: Tensor) => make().call(x);
const block = { groups: 2, eps: 1e-5 };
const levels = { ...block, tembChannels: 4, layers: 1, addAttention: false, headDim: null };
const square = { ...levels, inChannels: 2, outChannels: 2 };
/** An option of a residual block, which changes its output. */
const residual = (name: string, other: unknown, value?: unknown): Default =>
  option(
    name,
    (o) => new unet.ResnetBlock2D({ ...square, ...o }).call(image, random([1, 4], 5)),
    other,
    value,
  );
const sizes = (model: Module) => Object.values(model.stateDict()).map(({ shape }) => shape);
/** The attention heads of each module of a U-Net that has some. */
const heads = (options: object) =>
  Array.from(
    new unet.EmbUNetModel(options).namedModules(),
    ([name, m]) => m instanceof unet.SelfAttention ? [name, m.heads] : [],
  )
    .filter(({ length }) => length > 0);
const ofClasses = { predicted: Int32Array.from({ length: 20 }, (_, i) => i % 2) };
const confidence = Float32Array.from({ length: 20 }, (_, i) => i / 20);
const tries = async (options: object) => {
  const layer = new Linear(4, 4), act = new ReLU(), model = new Sequential(layer, act);
  let runs = 0;
  act.registerForwardHook(() => void runs++);
  await lsuvInit(model, line, [[layer, act]], options).catch(() => {});
  return runs;
};

const DEFAULTS: Record<string, Default> = {
  "Module.train(mode)": { call: (...v) => new ReLU().eval().train(...v).training, other: false },
  "Module.namedModules(prefix)": {
    call: (...v) => Array.from(new Sequential(new ReLU()).namedModules(...v), ([name]) => name),
    other: "a",
  },
  "Module.loadStateDict(strict)": {
    call(...v) {
      try {
        return new Linear(1, 1).loadStateDict({}, ...v).missing;
      } catch (error) {
        return (error as Error).message;
      }
    },
    other: false,
  },
  "new AvgPool2d(factor)": { call: (...v) => new AvgPool2d(...v).call(image), other: 3 },
  "new Upsample(factor)": { call: (...v) => new Upsample(...v).call(image), other: 3 },
  "BatchNormOptions.eps": option("eps", (o) => new BatchNorm1d(4, o).call(line), 0.1),
  "BatchNormOptions.momentum": option("momentum", (o) => {
    const layer = new BatchNorm1d(4, o);
    layer.call(line);
    return layer.running_mean.value;
  }, 0.5),
  "Conv2d.forward(residual)": {
    call: (...v) => new Conv2d(2, 2, 3, { padding: 1 }).call(image, ...v),
    other: tf.ones(image.shape),
  },
  "Linear.forward(residual)": { call: (...v) => new Linear(4, 4).call(line, ...v), other: tf.ones([3, 4]) },
  "new Dropout(p)": { call: (...v) => new Dropout(...v).call(line), other: 0.1 },
  "new Dropout(generator)": { call: (...v) => new Dropout(0.5, ...v).call(line), other: new Generator(77) },
  "GeneralReluOptions.leak": option("leak", (o) => new GeneralRelu(o).call(line), 0.1),
  "GeneralReluOptions.sub": option("sub", (o) => new GeneralRelu(o).call(line), 0.1),
  "GeneralReluOptions.maxV": option("maxV", (o) => new GeneralRelu(o).call(line), 0.1),
  "LayerOptions.bias": option("bias", (o) => new Linear(4, 2, o).call(line), false),
  "LayerOptions.generator": option("generator", (o) => new Linear(4, 2, o).call(line), new Generator(77)),
  "initWeights(leak)": {
    call(...v) {
      const conv = new Conv2d(1, 1, 2);
      initWeights(conv, ...v);
      return conv.weight;
    },
    other: 1,
  },
  "LsuvOptions.tolerance": option("tolerance", tries, 10),
  "LsuvOptions.maxTries": option("maxTries", (o) => tries({ tolerance: 1e-30, ...o }), 3),
  "Conv2dOptions.stride": option("stride", (o) => F.conv2d(image, filter, null, o), 2),
  "Conv2dOptions.padding": option("padding", (o) => F.conv2d(image, filter, null, o), 1),
  "Conv2dOptions.residual": option(
    "residual",
    (o) => F.conv2d(image, filter, null, o),
    tf.ones([1, 3, 4, 2]),
  ),
  "linear(residual)": { call: (...v) => F.linear(line, tf.ones([2, 4]), null, ...v), other: tf.ones([3, 2]) },
  "GroupNormOptions.eps": option("eps", (o) => new GroupNorm(2, 4, o).call(line), 0.1),
  "GroupNormOptions.silu": option("silu", (o) => new GroupNorm(2, 4, o).call(line), true),
  "batchNorm(eps)": { call: (...v) => F.batchNorm(line, four, four, ...v).y, other: 0.1 },
  "attention(scale)": {
    call: (...v) => F.attention(random([1, 3, 8], 1), random([1, 3, 8], 2), random([1, 3, 8], 3), 2, ...v),
    other: 1,
    value: 1 / 2,
  },
  "generalRelu(leak)": { call: (...v) => F.generalRelu(line, ...v), other: 0.1 },
  "generalRelu(sub)": { call: (...v) => F.generalRelu(line, 0, ...v), other: 0.1 },
  "averagePool(factor)": { call: (...v) => F.averagePool(image, ...v), other: 3 },
  "upsampleNearest(factor)": { call: (...v) => F.upsampleNearest(image, ...v), other: 3 },
  "dropout(axes)": { call: (...v) => F.dropout(image, 0.5, ...v), other: [1, 2], value: [] },
  "dropout(generator)": { call: (...v) => F.dropout(image, 0.5, [], ...v), other: new Generator(77) },
  "kaimingNormal(a)": { call: (...v) => init.kaimingNormal([2, 3], ...v), other: 1 },
  "kaimingUniform(a)": { call: (...v) => init.kaimingUniform([2, 3], ...v), other: 1 },
  "orthogonal(gain)": { call: (...v) => init.orthogonal([2, 3], ...v), other: 2 },
  "SGDOptions.momentum": option("momentum", (o) => stepped((p) => new SGD(p, { lr: 1, ...o })), 0.5),
  "SGDOptions.weightDecay": option("weightDecay", (o) => stepped((p) => new SGD(p, { lr: 1, ...o })), 0.5),
  "AdamOptions.lr": option("lr", (o) => stepped((p) => new Adam(p, o)), 0.1),
  "AdamOptions.betas": option("betas", (o) => stepped((p) => new Adam(p, o)), [0.5, 0.5]),
  "AdamOptions.eps": option("eps", (o) => stepped((p) => new Adam(p, o)), 1e-3),
  "AdamOptions.weightDecay": option(
    "weightDecay",
    // Adam's default is 0, AdamW's 0.01.
    async (o) => [
      await stepped((p) => new Adam(p, o.weightDecay === "each" ? { weightDecay: 0 } : o)),
      await stepped((p) => new AdamW(p, o.weightDecay === "each" ? { weightDecay: 0.01 } : o)),
    ],
    0.5,
    "each",
  ),
  "InverseSqrtOptions.warmup": option("warmup", rates, 5),
  "InverseSqrtOptions.flat": option("flat", rates, 500, 10_000),
  "OneCycleOptions.pctStart": option("pctStart", cycled, 0.6),
  "OneCycleOptions.divFactor": option("divFactor", cycled, 2),
  "OneCycleOptions.finalDivFactor": option("finalDivFactor", cycled, 2),
  "OneCycleOptions.cycleMomentum": option("cycleMomentum", cycled, false),
  "OneCycleOptions.baseMomentum": option("baseMomentum", cycled, 0.5),
  "OneCycleOptions.maxMomentum": option("maxMomentum", cycled, 0.99),
  "new Generator(seed)": { call: (...v) => new Generator(...v).uniformArray(3), other: 1 },
  "DataLoaderOptions.shuffle": option("shuffle", (o) => passes(o), true),
  "DataLoaderOptions.seed": option("seed", (o) => passes({ shuffle: true, ...o }), 1),
  "DataLoaderOptions.dropLast": option("dropLast", (o) => passes(o), true),
  "DataLoaderOptions.prefetch": option("prefetch", (o) => passes(o), 0),
  "DataLoaderOptions.transform": option("transform", (o) => passes(o), doubled),
  "DataLoaderOptions.augment": option("augment", (o) => passes(o), doubled),
  "DataLoaderOptions.collate": option("collate", (o) => passes(o), ([x]: HostArray[]) => [doubled(x)]),
  "DataLoader.batches(skip)": {
    call: (...v) => Array.fromAsync(new DataLoader({ pixels }, { batchSize: 4 }).batches(...v)),
    other: 1,
  },
  "Loader.batches(skip)": {
    call: (...v) => Array.fromAsync(loaderOf(() => [[1], [2]]).batches(...v)),
    other: 1,
  },
  "StreamOptions.length": option("length", (o) => loaderOf(() => [], o).length, 3),
  "StreamOptions.size": option("size", (o) => loaderOf(() => [], o).size, 3),
  "toFloat(low)": { call: (...v) => transforms.toFloat(...v)(pixels), other: -1 },
  "toFloat(high)": { call: (...v) => transforms.toFloat(0, ...v)(pixels), other: 2 },
  "flipHorizontal(which)": { call: (...v) => transforms.flipHorizontal(pictures, ...v), other: () => false },
  "PatchOptions.pct": option("pct", (o) => transforms.randErase(o)(pictures, new Generator(3)), 0.5),
  "PatchOptions.maxNum": option("maxNum", (o) => transforms.randCopy(o)(pictures, new Generator(3)), 1),
  "randomFlip(p)": { call: (...v) => transforms.randomFlip(...v)(pictures, new Generator(6)), other: 0 },
  "AttentionBlockOptions.rescaleOutputFactor": option(
    "rescaleOutputFactor",
    (o) => new unet.AttentionBlock({ ...block, channels: 2, headDim: null, ...o }).call(image),
    2,
  ),
  "ResnetBlockOptions.outputScaleFactor": residual("outputScaleFactor", 2),
  "ResnetBlockOptions.groupsOut": residual("groupsOut", 1, 2),
  "ResnetBlockOptions.resize": residual("resize", unet.firUp),
  "ResnetBlockOptions.convShortcut": residual("convShortcut", true, false),
  "StyleOptions.act": residual("act", "gelu"),
  "StyleOptions.timeScaleShift": residual("timeScaleShift", "scale_shift"),
  "StyleOptions.dropout": residual("dropout", 1),
  "DownBlockOptions.downsampleType": option("downsampleType", (o) =>
    sizes(
      new unet.DownBlock({ ...square, addDownsample: true, downsamplePadding: 1, ...o }),
    ), "resnet"),
  "UpBlockOptions.upsampleType": option("upsampleType", (o) =>
    sizes(
      new unet.UpBlock({ ...square, prevOutputChannel: 2, addUpsample: true, ...o }),
    ), "resnet"),
  "MidBlockOptions.attentionGroups": option(
    "attentionGroups",
    (o) =>
      sizes(
        new unet.UNetMidBlock2D({ ...levels, channels: 2, scaleFactor: 1, addAttention: true, ...o }),
      ),
    null,
    2,
  ),
  "PreConvOptions.kernelSize": option("kernelSize", (o) => unet.preConv(2, 2, o).call(image), 1),
  "PreConvOptions.stride": option("stride", (o) => unet.preConv(2, 2, o).call(image), 2),
  "PreConvOptions.bias": option("bias", (o) => unet.preConv(2, 2, o).call(image), false),
  "new EmbResBlock(outChannels)": {
    call: (...v) => new unet.EmbResBlock(4, 2, ...v).call(image, random([1, 4], 5)),
    other: 3,
    value: 2,
  },
  "new EmbResBlock(attnChannels)": {
    call: (...v) => new unet.EmbResBlock(4, 2, 2, ...v).call(image, random([1, 4], 5)),
    other: 1,
  },
  "CondUNetOptions.in_channels": option(
    "in_channels",
    (o) => sizes(new unet.CondUNetModel(3, { nfs: [4], ...o })),
    1,
  ),
  "CondUNetOptions.out_channels": option(
    "out_channels",
    (o) => sizes(new unet.CondUNetModel(3, { nfs: [4], ...o })),
    1,
  ),
  "CondUNetOptions.num_layers": option(
    "num_layers",
    (o) => sizes(new unet.CondUNetModel(3, { nfs: [4], ...o })),
    2,
  ),
  "EmbUNetOptions.attn_chans": option("attn_chans", (o) => heads({ nfs: [8, 16], ...o }), 4),
  "EmbUNetOptions.attn_start": option("attn_start", (o) => heads({ nfs: [8, 16], ...o }), 0),
  "TimestepEmbeddingOptions.flipSinToCos": option("flipSinToCos", (o) => timestepEmbedding(four, 8, o), true),
  "TimestepEmbeddingOptions.freqShift": option("freqShift", (o) => timestepEmbedding(four, 8, o), 0),
  "TimestepEmbeddingOptions.maxPeriod": option("maxPeriod", (o) => timestepEmbedding(four, 8, o), 100),
  "ConvOptions.kernelSize": option("kernelSize", (o) => fresh(() => new resnet.ResBlock(2, 2, o), image), 5),
  "ConvOptions.stride": option(
    "stride",
    (o) => [
      // conv's default is 2, ResBlock's 1.
      resnet.conv(2, 2, o.stride === "each" ? { stride: 2 } : o).call(image),
      new resnet.ResBlock(2, 2, o.stride === "each" ? { stride: 1 } : o).call(image),
    ],
    3,
    "each",
  ),
  "ConvOptions.act": option("act", (o) => fresh(() => resnet.conv(2, 2, o), image), null, resnet.actGr),
  "ConvOptions.norm": option("norm", (o) => fresh(() => resnet.conv(2, 2, o), image), resnet.normBn, null),
  "ModelOptions.act": option(
    "act",
    (o) => resnet.getModel4(o).eval().call(tf.ones([1, 28, 28, 1])),
    () => new ReLU(),
    resnet.actGr,
  ),
  "ModelOptions.norm": option(
    "norm",
    (o) => resnet.getModel4(o).eval().call(tf.ones([1, 28, 28, 1])),
    null,
    resnet.normBn,
  ),
  "getDropModel(drop)": { call: (...v) => resnet.getDropModel(...v).layers.length, other: 0.5 },
  "calibration(bins)": {
    call: (...v) => resnet.calibration({ ...ofClasses, confidence }, Array(20).fill(0), ...v),
    other: 3,
  },
  "testTimeDropout(n)": {
    async call(...v) {
      const learn = await imageLearner(new Sequential(new Flatten(), new Linear(784, 10)));
      let passes = 0;
      learn.model.registerForwardHook(() => void passes++);
      await resnet.testTimeDropout(learn, ...v);
      return passes;
    },
    other: 2,
  },
  "classifierFeatures(weights)": {
    async call(...v) {
      return (await scores.classifierFeatures(...v)).hash;
    },
    other: otherClassifier,
    value: new URL("../models/scores/weights/fashion_mnist_classifier.safetensors", import.meta.url),
  },
  "ReferenceOptions.keep": option(
    "keep",
    async (o) => (await scores.makeReference(greyModel, greyBatches(), o)).features.shape,
    3,
    10_000,
  ),
  "ReferenceOptions.onBatch": option(
    "onBatch",
    async (o) => {
      seenByListener.length = 0;
      await scores.makeReference(greyModel, greyBatches(), o);
      return [...seenByListener];
    },
    (done: number) => seenByListener.push(done),
  ),
  "NeighbourOptions.k": option(
    "k",
    async (o) => Object.values(await scores.precisionRecall(ofTwo(1), ofTwo(2), o)),
    1,
  ),
  "ImageEvalOptions.range": option("range", (o) => prepared(o), [0, 2]),
  "ImageEvalOptions.prepare": option("prepare", (o) => prepared(o), doubled),
  "ImageEvalOptions.neighbours": option(
    "neighbours",
    async (o) => (await scores.ImageEval.of(greyModel, greyBatches(), o)).neighbours,
    9,
    5000,
  ),
  "ScoreCBOptions.every": option("every", scoring, 3),
  "ScoreCBOptions.n": option("n", scoring, 500, 1000),
  "ScoreCBOptions.batch": option("batch", scoring, 100),
  "ScoreCBOptions.seed": option("seed", scoring, 1),
};

/** Defaults that make a network of a hundred million numbers. */
const TOO_LARGE = ["CondUNetOptions.nfs"];

/** The literal that a docstring names as its default; undefined for a word such as "none". */
function literal(doc: string): unknown {
  const [, text = ""] = doc.match(/\bdefault (\[[^\]]*\]|[^\s;,]*[^\s;,.])/i) ?? [];
  if (text === "Infinity") return Infinity;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a call gives, as plain numbers, with the same random numbers each time. */
async function resultOf(call: () => unknown): Promise<unknown> {
  const plain = async (x: unknown): Promise<unknown> => {
    if (x instanceof tf.Tensor) return { shape: x.shape, numbers: await numbers(x as Tensor) };
    if (Array.isArray(x)) return await Promise.all(x.map(plain));
    return x;
  };
  setSeed(5);
  return await plain(await call());
}

Deno.test({
  name: "each default that a docstring names is tried here, and stands in it",
  ...wasmOnly,
  async fn() {
    const said = await documentedDefaults();
    assertEquals(Object.keys(DEFAULTS).concat(TOO_LARGE).sort(), [...said.keys()].sort());
    for (const [name, doc] of said) assert(/\bdefault\b/i.test(doc), `${name}: ${doc}`);
  },
});

Deno.test({
  name:
    "an option left out, given as undefined and given as its default are the same, and another one is not",
  ...wasmOnly,
  async fn() {
    for (const [name, doc] of await documentedDefaults()) {
      if (TOO_LARGE.includes(name)) continue;
      const { call, other, value = literal(doc) } = DEFAULTS[name];
      const left = await resultOf(() => call());
      assertEquals(await resultOf(() => call(undefined)), left, `${name} as undefined`);
      if (value !== undefined) assertEquals(await resultOf(() => call(value)), left, `${name} as ${value}`);
      assertNotEquals(await resultOf(() => call(other)), left, `${name} as ${other}`);
    }
  },
});

Deno.test({
  name: "the fields of a U-Net's config say what UNET2D_DEFAULTS has",
  ...wasmOnly,
  async fn() {
    const said = await documentedFields("UNet2DConfig");
    assertEquals([...said.keys()].sort(), Object.keys(UNET2D_DEFAULTS).sort());
    for (const [field, doc] of said) {
      assert(/\bdefault\b/i.test(doc), `${field}: ${doc}`);
      const value = literal(doc);
      if (value !== undefined) {
        assertEquals(value, UNET2D_DEFAULTS[field as keyof typeof UNET2D_DEFAULTS], field);
      }
    }
  },
});
