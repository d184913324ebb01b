/** CheckpointCB: stopped, killed and resumed fits come to the numbers of unbroken ones. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  AccumulateGradCB,
  Adam,
  ArrayDataset,
  BatchSchedCB,
  Callback,
  CancelFitException,
  CheckpointCB,
  Conv2d,
  DataLoaders,
  DDPMCB,
  decodeSafetensors,
  defaultGenerator,
  DeviceCB,
  diffusion,
  Dropout,
  EarlyStoppingCB,
  EMACB,
  encodeSafetensors,
  Generator,
  HostArray,
  type Learner,
  Linear,
  loaderOf,
  type LossFunc,
  Mean,
  Module,
  MomentumLearner,
  OneCycleLR,
  RecorderCB,
  type SafeTensors,
  Sequential,
  setSeed,
  SGD,
  type Tensor,
  tf,
  TrainLearner,
} from "../../mod.ts";
import { numbers } from "../support.ts";
import { points, quiet } from "./lines.ts";

/** A metric that a checkpoint can hold. */
class AbsoluteError extends Mean {
  update(preds: Tensor, target: Tensor) {
    tf.tidy(() => this.add(tf.mean(tf.abs(tf.sub(preds, target))), preds.shape[0]));
  }
}

/** A learner whose every state matters: shuffling, dropout, schedule, momentum, an average that is evaluated. */
async function make(checkpoint: CheckpointCB, extra: Callback[] = []) {
  setSeed(11);
  const model = new Sequential(new Linear(3, 8), new Dropout(0.3), new Linear(8, 1));
  const metrics = quiet({ error: new AbsoluteError() });
  const recorder = new RecorderCB({ loss: (l) => l.loss });
  const learn = new TrainLearner(model, await points(), {
    cbs: [
      new DeviceCB(),
      new BatchSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: 0.05, totalSteps })),
      metrics,
      recorder,
      new EMACB(0.9),
      checkpoint,
      ...extra,
    ],
    optFunc: (params, lr) => new Adam(params, { lr }),
  });
  return { learn, model, metrics, recorder };
}

/** Everything that a run comes to. */
async function outcome({ model, metrics, recorder }: Awaited<ReturnType<typeof make>>) {
  const weights: Record<string, number[]> = {};
  for (const [name, p] of model.namedParameters()) weights[name] = await numbers(p);
  return { weights, rows: metrics.rows, losses: recorder.values.loss, random: defaultGenerator.state };
}

class StopAt extends Callback {
  override order = 50;
  constructor(
    readonly cb: CheckpointCB,
    readonly epoch: number,
    readonly iter: number,
    readonly train: boolean,
  ) {
    super();
  }
  override afterBatch(learn: Learner) {
    const here = learn.epoch === this.epoch && learn.iter === this.iter && learn.training === this.train;
    if (here) this.cb.stop();
  }
}

for (
  const [epoch, iter, train] of [[0, 0, true], [1, 2, true], [1, 5, true], [2, 5, true], [0, 0, false], [
    2,
    1,
    false,
  ]] as const
) {
  const half = train ? "training" : "evaluating";
  Deno.test(`stopped in epoch ${epoch} after batch ${iter} of ${half} and resumed: the numbers of an unbroken run`, async () => {
    const dir = await Deno.makeTempDir();
    const whole = await make(new CheckpointCB({ path: `${dir}/whole` }));
    await whole.learn.fit(3);
    const expected = await outcome(whole);

    const first = new CheckpointCB({ path: `${dir}/broken` });
    const part = await make(first, [new StopAt(first, epoch, iter, train)]);
    await part.learn.fit(3);
    assert(first.stopped);
    defaultGenerator.seed = 999;
    const again = await make(new CheckpointCB({ path: `${dir}/broken`, resume: true }));
    await again.learn.fit(3);
    assertEquals(await outcome(again), expected);
    await Deno.remove(dir, { recursive: true });
  });
}

Deno.test("gradients that wait for their step, and the wait for improvement, go on where they were", async () => {
  const dir = await Deno.makeTempDir();
  const extra = () => [new AccumulateGradCB(4), new EarlyStoppingCB({ patience: 1, minDelta: 1e3 })];
  const whole = await make(new CheckpointCB({ path: `${dir}/whole` }), extra());
  await whole.learn.fit(9);
  const expected = await outcome(whole);
  assertEquals(expected.rows.at(-1)!.epoch, 2); // an improvement on nothing, then two that are none
  const first = new CheckpointCB({ path: `${dir}/broken` });
  // Two of four batches are in, and one epoch without improvement is over.
  await (await make(first, [...extra(), new StopAt(first, 2, 1, true)])).learn.fit(9);
  const again = await make(new CheckpointCB({ path: `${dir}/broken`, resume: true }), extra());
  await again.learn.fit(9);
  assertEquals(await outcome(again), expected);
  await Deno.remove(dir, { recursive: true });
});

for (const [everyBatches, iter] of [[2, 4], [undefined, 0]] as const) {
  const saved = everyBatches ? `every ${everyBatches} batches` : "each epoch";
  Deno.test(`killed without warning, saved ${saved}: goes on to the same numbers`, async () => {
    const dir = await Deno.makeTempDir();
    const whole = await make(new CheckpointCB({ path: `${dir}/whole` }));
    await whole.learn.fit(2);
    const expected = await outcome(whole);
    class Crash extends Callback {
      override order = 200;
      override afterBatch(learn: Learner) {
        if (learn.training && learn.epoch === 1 && learn.iter === iter) throw new Error("power cut");
      }
    }
    const broken = await make(new CheckpointCB({ path: `${dir}/broken`, everyBatches }), [new Crash()]);
    await assertRejects(() => broken.learn.fit(2), Error, "power cut");
    const again = await make(new CheckpointCB({ path: `${dir}/broken`, resume: true }));
    await again.learn.fit(2);
    assertEquals(await outcome(again), expected);
    await Deno.remove(dir, { recursive: true });
  });
}

Deno.test("resumed when it is over: nothing is computed again, and nothing is lost", async () => {
  const dir = await Deno.makeTempDir();
  const whole = await make(new CheckpointCB({ path: `${dir}/whole` }));
  await whole.learn.fit(2);
  const expected = await outcome(whole);
  defaultGenerator.seed = 999;
  const again = await make(new CheckpointCB({ path: `${dir}/whole`, resume: true }));
  await again.learn.fit(2);
  assertEquals(await outcome(again), expected);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("nothing to resume from, and a file that is no checkpoint, are named", async () => {
  const dir = await Deno.makeTempDir();
  const { learn } = await make(new CheckpointCB({ path: `${dir}/none`, resume: true }));
  await assertRejects(() => learn.fit(1), Error, `no checkpoint to resume from at ${dir}/none`);
  await Deno.writeTextFile(`${dir}/none`, "rubbish, but long enough");
  for (const everyBatches of [0, -1, 1.5, NaN]) {
    const error = `everyBatches is a positive whole number, not ${everyBatches}`;
    assertThrows(() => new CheckpointCB({ path: "none", everyBatches }), RangeError, error);
  }
  await assertRejects(() => learn.fit(1), Error, `${dir}/none is broken. Not a valid safetensors file`);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("evaluating, capturePreds and lrFind leave a checkpoint as it is; stop ends one fit; resume acts once", async () => {
  const path = await Deno.makeTempFile();
  const first = new CheckpointCB({ path }), { learn } = await make(first);
  learn.cbs.push(new StopAt(first, 1, 2, true));
  await learn.fit(2);
  assert(first.stopped);
  const saved = await Deno.readFile(path);
  await learn.fit(1, { train: false });
  await learn.capturePreds();
  await learn.lrFind({ log: () => {} });
  assertEquals(await Deno.readFile(path), saved);
  learn.cbs.pop();
  await learn.fit(2);
  assertEquals([first.stopped, learn.opt!.state().step], [false, 12]);

  await Deno.writeFile(path, saved);
  const again = await make(new CheckpointCB({ path, resume: true }));
  const [preds] = await again.learn.capturePreds();
  assertEquals(preds.shape, [6, 1]);
  await again.learn.fit(2);
  assertEquals(again.learn.opt!.state().step, 12);
  await again.learn.fit(1);
  assertEquals(again.learn.opt!.state().step, 6);
  await Deno.remove(path);
});

Deno.test("callbacks in another order resume; others and another optimiser are refused, naming both", async () => {
  const path = await Deno.makeTempFile();
  const whole = await make(new CheckpointCB({ path: `${path}-whole` }));
  await whole.learn.fit(3);
  await (await make(new CheckpointCB({ path }))).learn.fit(3, { cbs: [new StopAfter()] });
  const reordered = await make(new CheckpointCB({ path, resume: true }));
  reordered.learn.cbs.reverse();
  defaultGenerator.seed = 999;
  await reordered.learn.fit(3);
  assertEquals(await outcome(reordered), await outcome(whole));
  const more = await make(new CheckpointCB({ path, resume: true }), [new AccumulateGradCB(2)]);
  await assertRejects(
    () => more.learn.fit(3),
    Error,
    "EMACB(0.9), RecorderCB, MetricsCB, BatchSchedCB there, " +
      "EMACB(0.9), BatchSchedCB, MetricsCB, RecorderCB, AccumulateGradCB(2) here",
  );
  const sgd = await make(new CheckpointCB({ path, resume: true }));
  sgd.learn.optFunc = (params, lr) => new SGD(params, { lr });
  await assertRejects(
    () => sgd.learn.fit(3),
    Error,
    "keeps the state of the optimiser Adam; this fit has SGD",
  );
  for (const file of [path, `${path}-whole`]) await Deno.remove(file);
});

/** Ends the fit after the first epoch. */
class StopAfter extends Callback {
  override order = 200;
  override afterEpoch({ training }: Learner) {
    if (!training) throw new CancelFitException();
  }
}

Deno.test("a metric that was NaN, or infinite, is so after resuming", async () => {
  const path = await Deno.makeTempFile();
  const run = async (epochs: number, values: number[], resume: boolean) => {
    const metrics = quiet({ f1: { reset() {}, update() {}, compute: () => values.shift()! } });
    const checkpoint = new CheckpointCB({ path, resume });
    const learn = new TrainLearner(new Linear(3, 1), await points(), {
      cbs: [new DeviceCB(), metrics, new EarlyStoppingCB({ metric: "f1", mode: "max" }), checkpoint],
    });
    await learn.fit(epochs);
    return metrics.rows.map((row) => row.f1);
  };
  await run(1, [NaN, -Infinity], false);
  assertEquals(await run(2, [1, 2], true), [NaN, -Infinity, 1, 2]);
  await Deno.remove(path);
});

for (const [epoch, iter, train] of [[0, 1, true], [0, 1, false]] as const) {
  Deno.test(`MomentumLearner stopped after batch ${iter} of ${train ? "training" : "evaluating"} goes on with its gradients`, async () => {
    const path = await Deno.makeTempFile();
    const run = async (resume: boolean, stop: boolean) => {
      setSeed(5);
      const model = new Linear(3, 1), checkpoint = new CheckpointCB({ path, resume });
      const learn = new MomentumLearner(model, await points(), {
        cbs: [new DeviceCB(), checkpoint, ...(stop ? [new StopAt(checkpoint, epoch, iter, train)] : [])],
      });
      await learn.fit(2);
      return [checkpoint.stopped, await numbers(model.weight)];
    };
    const [, expected] = await run(false, false);
    assertEquals((await run(false, true))[0], true);
    assertEquals(await run(true, false), [false, expected]);
    await Deno.remove(path);
  });
}

Deno.test("two averages keep their own states in any order, and another decay is refused with both", async () => {
  const path = await Deno.makeTempFile();
  const run = async (decays: number[], resume: boolean) => {
    const cbs = decays.map((decay) => new EMACB(decay));
    const learn = new TrainLearner(new Linear(3, 1), await points(), {
      cbs: [new DeviceCB(), ...cbs, new CheckpointCB({ path, resume })],
    });
    await learn.fit(1);
    return await Promise.all(cbs.map((cb) => numbers(cb.stateTensors()["average.0"])));
  };
  const averages = await run([0, 0.5], false);
  assertEquals(await run([0.5, 0], true), averages.toReversed());
  await assertRejects(
    () => run([0, 0.7], true),
    Error,
    "EMACB(0), EMACB(0.5) there, EMACB(0), EMACB(0.7) here",
  );
  await Deno.remove(path);
});

Deno.test("a stream that ends before the batch to resume at is an error", async () => {
  const pass = () =>
    loaderOf(() => [[tf.ones([1, 3]), tf.ones([1, 1])]]).batches(2)[Symbol.asyncIterator]().next();
  await assertRejects(pass, Error, "the stream ends after 1 batches; the fit goes on after 2");
});

/** Writes a checkpoint of a fit that was stopped, and gives its file. */
async function stoppedFit(dir: string): Promise<{ path: string; file: SafeTensors }> {
  const path = `${dir}/checkpoint`, cb = new CheckpointCB({ path });
  await (await make(cb, [new AccumulateGradCB(4), new StopAt(cb, 0, 1, true)])).learn.fit(3);
  return { path, file: decodeSafetensors(await Deno.readFile(path)) };
}

/** Goes on from a checkpoint. */
async function resume(path: string): Promise<void> {
  const { learn } = await make(new CheckpointCB({ path, resume: true }), [new AccumulateGradCB(4)]);
  await learn.fit(3, { cbs: [new StopAfter()] });
}

Deno.test("a checkpoint carries a checksum: what was changed is refused, what lacks it loads", async () => {
  const dir = await Deno.makeTempDir();
  const { path, file: { tensors, metadata } } = await stoppedFit(dir);
  const { "denoise.sha256": checksum, ...unchecked } = metadata;
  assertEquals(checksum.length, 64);
  const write = async (changed: Record<string, HostArray>, text: Record<string, string>) =>
    await Deno.writeFile(path, encodeSafetensors(changed, text));
  const name = "model.0.weight", { data, shape } = tensors[name];
  const other = new HostArray(data.map((x, i) => i === 5 ? x + 1e-6 : x), shape);
  const damaged: [Record<string, HostArray>, Record<string, string>][] = [
    [{ ...tensors, [name]: other }, metadata],
    [{ ...tensors, [name]: new HostArray(data, shape.toReversed()) }, metadata],
    [{ ...tensors, "model.1.weight": tensors[name] }, metadata],
    [tensors, {
      ...metadata,
      "denoise.checkpoint": metadata["denoise.checkpoint"].replace('"iter":2', '"iter":1'),
    }],
    [tensors, { ...metadata, "denoise.sha256": "" }],
  ];
  for (const [changed, text] of damaged) {
    await write(changed, text);
    await assertRejects(() => resume(path), Error, `${path} is broken: the SHA-256 of what it holds is `);
  }
  await write(tensors, { ...unchecked, "denoise.sha257": checksum });
  await assertRejects(
    () => resume(path),
    Error,
    `broken: a checkpoint has no metadata called "denoise.sha257"`,
  );
  await write(tensors, { format: "pt", "denoise.sha256": checksum });
  await assertRejects(() => resume(path), Error, `${path} is no checkpoint of a fit`);
  await write(tensors, unchecked);
  await resume(path);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("every field of a checkpoint that is not as it should be is named, with the file", async () => {
  const dir = await Deno.makeTempDir();
  const { path, file: { tensors, metadata } } = await stoppedFit(dir);
  const record = JSON.parse(metadata["denoise.checkpoint"]);
  const { callbacks, optimizer } = record;
  const names = Object.keys(callbacks);
  assertEquals(names, ["EMACB(0.9)", "BatchSchedCB", "MetricsCB", "RecorderCB", "AccumulateGradCB(4)"]);
  const state = (changed: Record<string, unknown>) => ({
    ...record,
    callbacks: { ...callbacks, ...changed },
  });
  const write = async (text: string, changed = tensors) =>
    await Deno.writeFile(path, encodeSafetensors(changed, { "denoise.checkpoint": text }));
  for (
    const [changed, message] of [
      ["", ": its denoise.checkpoint is no JSON"],
      ["[".repeat(1e5), ": its denoise.checkpoint is no JSON"],
      ["[".repeat(1e5) + "]".repeat(1e5), "nested deeper than 128 levels"],
      ['{"epoch":1,"epoch":2}', 'it has "epoch" twice'],
      [null, ": denoise.checkpoint: it is null, not an object"],
      [[], '"epoch" is missing'],
      [{ ...record, epoch: -1 }, '"epoch" is -1, not a number of at least 0'],
      [{ ...record, iter: "2" }, '"iter" is "2", not a number'],
      [{ ...record, more: 1 }, 'there is no field "more"'],
      [{ ...record, random: { seed: 1 } }, '"random.counter" is missing'],
      [
        { ...record, optimizer: { ...optimizer, groups: [{ lr: "x" }] } },
        '"optimizer.groups.0.lr" is "x", not a number',
      ],
      [
        { ...record, optimizer: { ...optimizer, steps: [1.5] } },
        '"optimizer.steps.0" is 1.5, not a whole number',
      ],
      [
        { ...record, optimizer: { ...optimizer, groups: [] } },
        "does not fit this fit: The state has 0 parameter groups",
      ],
      [
        { ...record, optimizer: { ...optimizer, steps: [1] } },
        "does not fit this fit: The state is of 1 parameters",
      ],
      [
        { ...record, optimizer: { ...optimizer, sizes: [] } },
        "does not fit this fit: The state has 1 parameter groups, and the sizes of 0",
      ],
      [{ ...record, order: [] }, `does not fit this fit: DataLoader's state: "seed" is missing`],
      [{ ...record, callbacks: 3 }, '"callbacks" is 3'],
      [
        state({ "AccumulateGradCB(4)": "x" }),
        `does not fit this fit: AccumulateGradCB's state: it is "x", not a number`,
      ],
      [state({ BatchSchedCB: -3 }), "does not fit this fit: BatchSchedCB's state: it is -3"],
      [state({ "EMACB(0.9)": {} }), "does not fit this fit: EMACB's state: it is {}"],
      [
        state({ RecorderCB: { loss: 3 } }),
        `does not fit this fit: RecorderCB's state: "loss" is 3, not an array`,
      ],
      [state({ MetricsCB: [] }), `does not fit this fit: MetricsCB's state: "rows" is missing`],
      [
        state({ MetricsCB: { ...callbacks.MetricsCB, rows: [{ epoch: 0, train: "test", loss: 1 }] } }),
        `MetricsCB's state: "rows.0.train" is "test", not ("train" | "eval")`,
      ],
      [
        state({ MetricsCB: { ...callbacks.MetricsCB, loss: [1] } }),
        "Mean's state: it is [1], not a sum, a weight",
      ],
      [state({ MetricsCB: { ...callbacks.MetricsCB, metrics: { error: 3 } } }), "Mean's state: it is 3"],
    ] as const
  ) {
    await write(typeof changed === "string" ? changed : JSON.stringify(changed));
    const { message: got } = await assertRejects(() => resume(path), Error, message);
    assert(got.startsWith(path), got);
  }
  const text = metadata["denoise.checkpoint"], one = new HostArray(new Float32Array(1), [1]);
  const gradient = Object.keys(tensors).find((name) => name.startsWith("gradient."));
  for (
    const [changed, message] of [
      [{ ...tensors, other: one }, 'nothing in this fit has a tensor "other"'],
      [{ ...tensors, "gradient.x": one }, 'nothing in this fit has a tensor "gradient.x"'],
      [{ ...tensors, "callback.Other.x": one }, 'nothing in this fit has a tensor "callback.Other.x"'],
      [{ ...tensors, "gradient.0.bias": one }, "gradient.0.bias has shape [1], the parameter [8]"],
      [
        { ...tensors, "gradient.0.bias": new HostArray(new Int32Array(8), [8]) },
        'the tensor "gradient.0.bias" is not of floats',
      ],
      [
        { ...tensors, "model.0.bias": new HostArray(new Int32Array(8), [8]) },
        "0.bias is int32, the model wants float32",
      ],
      [
        { ...tensors, "model.x": one },
        "does not fit this fit: The state dict does not fit. not in the model: x",
      ],
      [{ ...tensors, "optimizer.9.m": one }, "does not fit this fit: The state has a tensor 9.m"],
      [{}, "does not fit this fit: The state dict does not fit. missing: 0.weight"],
    ] as const
  ) {
    await write(text, changed as typeof tensors);
    const { message: got } = await assertRejects(() => resume(path), Error, message);
    assert(got.startsWith(path), got);
  }
  assert(gradient === undefined, "AccumulateGradCB keeps them itself");
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a schedule of other options is refused with both", async () => {
  const dir = await Deno.makeTempDir(), { path } = await stoppedFit(dir);
  const { learn } = await make(new CheckpointCB({ path, resume: true }), [new AccumulateGradCB(4)]);
  await assertRejects(
    () => learn.fit(4),
    Error,
    "BatchSchedCB: the schedule that is resumed has totalSteps 18, that of this fit 24",
  );
  await Deno.remove(dir, { recursive: true });
});

const NOISING: Record<string, { make(generator: Generator): Callback; lossFunc?: LossFunc }> = {
  DDPMCB: { make: (generator) => new DDPMCB({ generator }) },
  EDMCB: { make: (generator) => new diffusion.EDMCB({ generator }) },
  ConsistencyCB: {
    make: (generator) => new diffusion.ConsistencyCB({ stageBatches: 2, generator }),
    lossFunc: diffusion.consistencyLoss(),
  },
};

for (const [name, { make, lossFunc }] of Object.entries(NOISING)) {
  Deno.test(`${name}'s own generator goes on where it was, and draws the same whatever else draws from it`, async () => {
    const dir = await Deno.makeTempDir(), path = `${dir}/checkpoint.safetensors`;
    const fit = async (resume: boolean, more: (cb: CheckpointCB, generator: Generator) => Callback[]) => {
      setSeed(2);
      const generator = new Generator(5), model = new Noiser(), cb = new CheckpointCB({ path, resume });
      const x = new HostArray(new Generator(1).normalArray(64), [4, 4, 4, 1]), data = new ArrayDataset(x, x);
      const loaders = DataLoaders.from(data, data, { batchSize: 2 });
      await new TrainLearner(model, loaders, {
        lossFunc,
        cbs: [new DeviceCB(), make(generator), cb, ...more(cb, generator)],
      }).fit(2);
      return [await numbers(model.inner.weight), generator.state];
    };
    const expected = await fit(false, () => []);
    await fit(false, (cb) => [new StopAt(cb, 0, 0, true)]);
    assertEquals(await fit(true, () => []), expected);
    class Draws extends Callback {
      constructor(readonly generator: Generator) {
        super();
      }
      override afterBatch(): void {
        this.generator.uniformArray(3);
      }
    }
    const [weights] = await fit(false, (_, generator) => [new Draws(generator)]);
    assertEquals(weights, expected[0]);
    await Deno.remove(dir, { recursive: true });
  });
}

/** A model of noise of one number. */
class Noiser extends Module<[[Tensor, Tensor]], Tensor> {
  inner = new Conv2d(1, 1, 1);
  override forward([x]: [Tensor, Tensor]): Tensor {
    return this.inner.call(x);
  }
}
