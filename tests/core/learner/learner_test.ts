/** The loop: order of events, cancelling, phases, leaks. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ArrayDataset,
  Callback,
  CancelBatchException,
  CancelEpochException,
  CancelFitException,
  type DataLoader,
  DataLoaders,
  DeviceCB,
  F,
  HostArray,
  Learner,
  Linear,
  MetricsCB,
  MomentumLearner,
  type Parameter,
  SGD,
  SingleBatchCB,
  tf,
  TrainCB,
  TrainLearner,
} from "../../../mod.ts";
import { assertClose, numbers, random } from "../../support.ts";

/** Eight points of y = 2·x₀ − x₁ in batches of four, four to evaluate on. */
async function loaders(batchSize = 4): Promise<DataLoaders<DataLoader>> {
  const set = async (n: number, seed: number) => {
    const x = await numbers(random([n, 2], seed));
    const y = Float32Array.from({ length: n }, (_, i) => 2 * x[2 * i] - x[2 * i + 1]);
    return new ArrayDataset(new HostArray(Float32Array.from(x), [n, 2]), new HostArray(y, [n, 1]));
  };
  return DataLoaders.from(await set(8, 1), await set(4, 2), { batchSize });
}

/** Events and phases as miniai's own Learner ran them, by what was thrown at which event (make_miniai.py). */
const MINIAI: Record<string, string> = JSON.parse(
  await Deno.readTextFile(new URL("../../golden/miniai-trace.json", import.meta.url)),
);
const camel = (name: string) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const UNBROKEN = MINIAI[""].split(" ").map(camel);
const EVENTS = new Set(UNBROKEN);

/** Writes down every event and phase; a hook may throw at one of them. */
class Trace extends Callback {
  override order = 10;
  readonly seen: string[] = [];
  constructor(hook: (event: string) => void = () => {}, names: Iterable<string> = EVENTS) {
    super();
    for (const event of names) {
      Object.assign(this, {
        [event]: () => {
          this.seen.push(event);
          hook(event);
        },
      });
    }
  }
}

/** What two epochs come to in which an event throws at its first time. */
async function run(exception?: new () => Error, at?: string): Promise<string[]> {
  let thrown = false;
  const trace = new Trace((event) => {
    if (!exception || thrown || event !== at) return;
    thrown = true;
    throw new exception();
  });
  const cbs = [new DeviceCB(), new TrainCB(), trace];
  try {
    await new Learner(new Linear(2, 1), await loaders(), { cbs }).fit(2);
  } catch (error) {
    if (!exception || !(error instanceof exception)) throw error;
    trace.seen.push("raises");
  }
  return trace.seen;
}

Deno.test("two epochs: every event and phase in miniai's order", async () => {
  assertEquals(await run(), UNBROKEN);
});

for (const exception of [CancelBatchException, CancelEpochException, CancelFitException]) {
  Deno.test(`${exception.name} at any event or phase: what runs after it runs in miniai`, async () => {
    const cases = Object.entries(MINIAI).filter(([name]) => name.startsWith(exception.name));
    assertEquals(cases.length, EVENTS.size);
    for (const [name, seen] of cases) {
      assertEquals(await run(exception, camel(name.split(" at ")[1])), seen.split(" ").map(camel), name);
    }
  });
}

Deno.test("another error comes out, after cleaning up, and temporary callbacks are gone", async () => {
  const trace = new Trace((event) => {
    if (event === "afterPredict") throw new Error("boom");
  }, [...EVENTS].filter((name) => /^(before|after|cleanup)/.test(name)));
  const learn = new TrainLearner(new Linear(2, 1), await loaders(), { cbs: [new DeviceCB()] });
  await assertRejects(() => learn.fit(1, { cbs: [trace] }), Error, "boom");
  assertEquals(trace.seen, [
    "beforeFit",
    "beforeEpoch",
    "beforeBatch",
    "afterPredict",
    "cleanupBatch",
    "cleanupEpoch",
    "cleanupFit",
  ]);
  assertEquals(learn.cbs.length, 1);
  await learn.fit(1);
});

Deno.test("callbacks run by order, equal ones as given; train and valid can be left out", async () => {
  const seen: string[] = [];
  const make = (name: string, order: number) =>
    Object.assign(new class extends Callback {}(), { order, beforeEpoch: () => void seen.push(name) });
  const cbs = [make("late", 5), make("a", 0), make("early", -3), make("b", 0)];
  const learn = new TrainLearner(new Linear(2, 1), await loaders(), { cbs: [new DeviceCB(), ...cbs] });
  await learn.fit(1, { valid: false });
  assertEquals(seen, ["early", "a", "b", "late"]);
  await learn.fit(1, { train: false });
  assertEquals(seen.length, 8);
});

Deno.test("Learner with TrainCB and TrainLearner do the same", async () => {
  const results: number[][] = [];
  const start = new Linear(2, 1);
  for (
    const make of [
      (m: Linear, dls: DataLoaders) => new Learner(m, dls, { lr: 0.1, cbs: [new DeviceCB(), new TrainCB()] }),
      (m: Linear, dls: DataLoaders) => new TrainLearner(m, dls, { lr: 0.1, cbs: [new DeviceCB()] }),
    ]
  ) {
    const model = new Linear(2, 1);
    model.loadStateDict(start.stateDict());
    await make(model, await loaders()).fit(3);
    results.push(await numbers(model.weight));
  }
  assertEquals(results[0], results[1]);
});

Deno.test("training fits a line; evaluation changes nothing", async () => {
  const model = new Linear(2, 1);
  const learn = new TrainLearner(model, await loaders(), { lr: 0.3, cbs: [new DeviceCB()] });
  await learn.fit(60);
  await assertClose(model.weight, [2, -1], 1e-2);
  const before = await numbers(model.weight);
  await learn.fit(1, { train: false });
  assertEquals(await numbers(model.weight), before);
});

Deno.test("MomentumLearner keeps 0.85 of the gradient", async () => {
  const model = new Linear(2, 1, { bias: false });
  model.weight.assign(tf.zeros([1, 2]));
  const dls = await loaders(8);
  await new MomentumLearner(model, dls, { lr: 0.1, cbs: [new DeviceCB()] }).fit(2, { valid: false });
  // By hand: w ← w − lr·(g + 0.85·previous)
  const [x, y] = (await dls.train.dataset.items(Int32Array.from({ length: 8 }, (_, i) => i))).map((a) =>
    a.data
  );
  const w = [0, 0];
  let v = [0, 0];
  for (let i = 0; i < 2; i++) {
    const g = [0, 0];
    for (let n = 0; n < 8; n++) {
      const error = w[0] * x[2 * n] + w[1] * x[2 * n + 1] - y[n];
      for (const k of [0, 1]) g[k] += 2 * error * x[2 * n + k] / 8;
    }
    v = v.map((old, k) => g[k] + 0.85 * old);
    for (const k of [0, 1]) w[k] -= 0.1 * v[k];
  }
  await assertClose(model.weight, w, 1e-4);
});

Deno.test("a phase can be replaced: gradients summed over two batches before a step", async () => {
  class Accumulating extends TrainLearner {
    override step() {
      if (this.iter % 2 === 1) super.step();
    }
    override zeroGrad() {
      if (this.iter % 2 === 1) super.zeroGrad();
    }
  }
  const one = new Linear(2, 1), two = new Linear(2, 1);
  two.loadStateDict(one.stateDict());
  const optFunc = (scale: number) => (params: Parameter[]) => new SGD(params, { lr: 0.1 * scale });
  await new Accumulating(one, await loaders(4), { cbs: [new DeviceCB()], optFunc: optFunc(0.5) }).fit(1, {
    valid: false,
  });
  await new TrainLearner(two, await loaders(8), { cbs: [new DeviceCB()], optFunc: optFunc(1) }).fit(1, {
    valid: false,
  });
  await assertClose(one.weight, two.weight, 1e-5);
});

Deno.test("SingleBatchCB stops after a batch and keeps it", async () => {
  const metrics = new MetricsCB();
  metrics.log = () => {};
  const learn = new TrainLearner(new Linear(2, 1), await loaders(), { cbs: [new DeviceCB(), metrics] });
  await learn.fit(3, { cbs: [new SingleBatchCB()] });
  assertEquals(metrics.rows, []);
  assertEquals([(await numbers(learn.batch[0])).length, (await numbers(learn.preds)).length], [8, 4]);
  await assertClose(F.mseLoss(learn.preds, learn.batch[1]), await numbers(learn.loss), 1e-5);
  learn.dispose();
});

Deno.test("without DeviceCB the error says so; with optFunc null there is no optimiser", async () => {
  await assertRejects(
    async () => await new Learner(new Linear(2, 1), await loaders(), { cbs: [new TrainCB()] }).fit(1),
    Error,
    "add DeviceCB",
  );
  const learn = new TrainLearner(new Linear(2, 1), await loaders(), { optFunc: null, cbs: [new DeviceCB()] });
  await learn.fit(1, { train: false });
  assertEquals(learn.opt, null);
});

Deno.test("twenty batches leak nothing: tensors, bytes and buffers", async () => {
  const counts: string[] = [];
  class Count extends Callback {
    override order = 1000;
    override beforeBatch(learn: Learner) {
      const { numTensors, numBytes, numDataBuffers } = tf.memory();
      if (learn.training) counts.push([numTensors, numBytes, numDataBuffers].join());
    }
  }
  const metrics = new MetricsCB();
  metrics.log = () => {};
  const learn = new TrainLearner(new Linear(2, 1), await loaders(), {
    cbs: [new DeviceCB(), metrics, new Count()],
    optFunc: (params, lr) => new SGD(params, { lr, momentum: 0.9 }),
  });
  await learn.fit(12);
  // The first batch has no momentum yet, the first of an epoch no running loss.
  const later = counts.filter((_, i) => i % 2 === 1 && i > 1);
  assert(later.length >= 11);
  assertEquals(new Set(later).size, 1, later.join(" | "));
});

Deno.test("a long fit leaves timers and signals their turn", async () => {
  class Slow extends Callback {
    override order = 10;
    override afterBatch() {
      const until = performance.now() + 30;
      while (performance.now() < until);
    }
  }
  const learn = new TrainLearner(new Linear(2, 1), await loaders(1), { cbs: [new DeviceCB(), new Slow()] });
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await learn.fit(1);
  clearInterval(timer);
  learn.dispose();
  assert(turns >= 3, `${turns} turns of a timer in twelve batches of 30 ms`);
});

Deno.test("fit takes a whole number of epochs from 0 on, and something to do", async () => {
  const learn = new TrainLearner(new Linear(2, 1), await loaders(), { cbs: [new DeviceCB()] });
  for (const n of [-1, NaN, 1.5, Infinity, "2" as unknown as number]) {
    await assertRejects(
      () => learn.fit(n),
      RangeError,
      `fit: nEpochs is a whole number of at least 0, not ${n}`,
    );
  }
  await assertRejects(() => learn.fit(1, { train: false, valid: false }), Error, "would do nothing");
  await learn.fit(0);
  await learn.fit(1);
});

Deno.test("MomentumLearner keeps a share of the gradient in [0, 1)", async () => {
  const dls = await loaders();
  for (const mom of [-0.1, 1, NaN]) {
    const make = () => new MomentumLearner(new Linear(2, 1), dls, {}, mom);
    assertThrows(make, RangeError, `MomentumLearner: mom lies in [0, 1), not ${mom}`);
  }
});

Deno.test("the gradients of a batch that was cancelled do not enter the next", async () => {
  const step = async (event?: "afterBackward" | "afterStep") => {
    const model = new Linear(2, 1), seen: number[][] = [];
    model.weight.assign(tf.tensor2d([[1, 2]]));
    model.bias!.assign(tf.tensor1d([0]));
    class Cancel extends Callback {
      override async afterBackward(learn: Learner) {
        if (learn.iter === 1) seen.push(Array.from(await model.weight.grad!.data()));
        if (event === "afterBackward" && learn.iter === 0) throw new CancelBatchException();
      }
      override afterStep(learn: Learner) {
        if (event === "afterStep" && learn.iter === 0) throw new CancelBatchException();
      }
    }
    const learn = new TrainLearner(model, await loaders(), { lr: 0, cbs: [new DeviceCB(), new Cancel()] });
    await learn.fit(1, { valid: false });
    return seen;
  };
  const plain = await step();
  assertEquals(plain.length, 1);
  assertEquals(await step("afterBackward"), plain);
  assertEquals(await step("afterStep"), plain);
});
