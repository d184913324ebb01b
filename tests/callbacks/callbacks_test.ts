/** The callbacks' own effects; each test fails when the effect is gone. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  AccumulateGradCB,
  Accuracy,
  Adam,
  BatchSchedCB,
  Callback,
  CheckpointCB,
  DataLoaders,
  defaultGenerator,
  DeviceCB,
  Dropout,
  EarlyStoppingCB,
  EMACB,
  HostArray,
  type Learner,
  Linear,
  Mean,
  type Metric,
  MetricsCB,
  OneCycleLR,
  ProgressCB,
  RecorderCB,
  Sequential,
  setSeed,
  type Tensor,
  tf,
  TrainCB,
  TrainLearner,
} from "../../mod.ts";
import { assertClose, numbers, random } from "../support.ts";

/** 22 points in batches of 4 (the last of 2), 6 to evaluate on. */
async function loaders(): Promise<DataLoaders> {
  const set = async (n: number, seed: number) => ({
    images: new HostArray(Float32Array.from(await numbers(random([n, 3], seed))), [n, 3]),
    labels: new HostArray(Float32Array.from(await numbers(random([n, 1], seed + 1))), [n, 1]),
  });
  return DataLoaders.from(await set(22, 1), await set(6, 5), { batchSize: 4, seed: 3 });
}

const quiet = (metrics?: Record<string, Metric>) => Object.assign(new MetricsCB(metrics), { log: () => {} });

Deno.test("MetricsCB: losses weighted by batch size, a row for each half of an epoch", async () => {
  const model = new Linear(3, 1), dls = await loaders();
  const metrics = quiet();
  const losses: [number, number][] = [];
  class Watch extends Callback {
    override async afterBatch(learn: Learner) {
      if (learn.training) losses.push([(await numbers(learn.loss))[0], learn.batch[0].shape[0]]);
    }
  }
  await new TrainLearner(model, dls, { lr: 0.01, cbs: [new DeviceCB(), metrics, new Watch()] }).fit(1);
  assertEquals(losses.map(([, n]) => n), [4, 4, 4, 4, 4, 2]);
  const mean = losses.reduce((s, [l, n]) => s + l * n, 0) / 22;
  assertEquals(metrics.rows.map((r) => [r.epoch, r.train]), [[0, "train"], [0, "eval"]]);
  await assertClose([metrics.rows[0].loss], [mean], 1e-5);
});

Deno.test("Accuracy: the share of rows whose largest logit is the label, over all batches", async () => {
  const accuracy = new Accuracy();
  accuracy.update(tf.tensor2d([[1, 2], [3, 0], [0, 1]]), tf.tensor1d([1, 0, 0], "int32"));
  accuracy.update(tf.tensor2d([[5, 2]]), tf.tensor1d([0], "int32"));
  assertEquals(await accuracy.compute(), 0.75);
  accuracy.reset();
  accuracy.update(tf.tensor2d([[5, 2]]), tf.tensor1d([1], "int32"));
  assertEquals(await accuracy.compute(), 0);
});

Deno.test("BatchSchedCB and RecorderCB: the schedule's rates, batch by batch", async () => {
  const recorder = new RecorderCB({ lr: (l) => l.opt!.paramGroups[0].lr, loss: (l) => l.loss });
  const schedule = (opt: Adam, totalSteps: number) => new OneCycleLR(opt, { maxLr: 0.1, totalSteps });
  await new TrainLearner(new Linear(3, 1), await loaders(), {
    cbs: [new DeviceCB(), new BatchSchedCB(schedule as never), Object.assign(recorder, { order: -1 })],
    optFunc: (params, lr) => new Adam(params, { lr }),
  }).fit(2);
  const reference = new OneCycleLR(new Adam(new Linear(1, 1).parameters()), { maxLr: 0.1, totalSteps: 12 });
  assertEquals(recorder.values.lr, Array.from({ length: 12 }, (_, i) => reference.at(i).lr));
  assertEquals(recorder.values.loss.length, 12);
  assert(recorder.values.loss.every((v) => v > 0));
  assert(Object.values(await recorder.plot()).every((svg) => svg.startsWith("<svg")));
});

Deno.test("DeviceCB: nested host arrays become tensors", () => {
  const learn = { batch: [[new HostArray(Float32Array.of(1), [1])], new HostArray(Uint8Array.of(7), [1])] };
  new DeviceCB().beforeBatch(learn as never);
  const [[x], y] = learn.batch as unknown as [[tf.Tensor], tf.Tensor];
  assertEquals([x.dtype, y.dtype], ["float32", "int32"]);
});

Deno.test("TrainCB: the first nInp elements go to the model, the rest to the loss", () => {
  const seen: unknown[] = [];
  const learn = {
    batch: [1, 2, 3, 4],
    model: { call: (...xs: unknown[]) => (seen.push(xs), "preds") },
    lossFunc: (...xs: unknown[]) => (seen.push(xs), "loss"),
  } as unknown as Learner;
  const cb = new TrainCB(2);
  cb.predict(learn);
  cb.getLoss(learn);
  assertEquals(seen, [[1, 2], ["preds", 3, 4]]);
  assertEquals([learn.preds, learn.loss as unknown], ["preds", "loss"]);
});

Deno.test("ProgressCB: a table row for each half of an epoch, to three decimals", async () => {
  const lines: string[] = [];
  const metrics = new MetricsCB();
  await new TrainLearner(new Linear(3, 1), await loaders(), {
    lr: 0.01,
    cbs: [new DeviceCB(), metrics, new ProgressCB((line) => lines.push(line))],
  }).fit(2);
  assertEquals(lines.length, 5);
  assertEquals(lines[0].trim().split(/\s+/), ["epoch", "train", "loss", "images/s"]);
  assertEquals(lines[1].trim().split(/\s+/).slice(0, 3), ["0", "train", metrics.rows[0].loss.toFixed(3)]);
  assertEquals(lines[4].trim().split(/\s+/), ["1", "eval", metrics.rows[3].loss.toFixed(3)]);
});

/** A learner whose every state matters: shuffling, dropout, schedule, momentum, an average that is evaluated. */
/** A metric that a checkpoint can hold. */
class AbsoluteError extends Mean {
  update(preds: Tensor, target: Tensor) {
    tf.tidy(() => this.add(tf.mean(tf.abs(tf.sub(preds, target))), preds.shape[0]));
  }
}

async function make(checkpoint: CheckpointCB, extra: Callback[] = []) {
  setSeed(11);
  const model = new Sequential(new Linear(3, 8), new Dropout(0.3), new Linear(8, 1));
  const metrics = quiet({ error: new AbsoluteError() });
  const recorder = new RecorderCB({ loss: (l) => l.loss });
  const learn = new TrainLearner(model, await loaders(), {
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
  await assertRejects(() => learn.fit(1), Error, "Not a valid safetensors file");
  await Deno.remove(dir, { recursive: true });
});
