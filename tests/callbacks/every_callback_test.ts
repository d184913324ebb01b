/** Every callback: nothing of one fit reaches the next, however it ended, and memory is level. */
import { assert, assertEquals } from "@std/assert";
import * as callbacks from "../../callbacks/mod.ts";
import {
  Adam,
  BatchNorm1d,
  Callback,
  CancelFitException,
  DeviceCB,
  Dropout,
  Learner,
  Linear,
  OneCycleLR,
  type Optimizer,
  Sequential,
  setSeed,
  type StateDict,
  tf,
  TrainLearner,
} from "../../mod.ts";
import { numbers } from "../support.ts";
import { quiet, sums } from "./lines.ts";

const path = await Deno.makeTempFile({ suffix: ".safetensors" });
const schedule = (opt: Optimizer, totalSteps: number) => new OneCycleLR(opt, { maxLr: 0.05, totalSteps });

/** One of each class. */
const MAKE: Record<string, () => Callback> = {
  AccumulateGradCB: () => new callbacks.AccumulateGradCB(2),
  ActivationStats: () => new callbacks.ActivationStats({ onValid: true }),
  BatchSchedCB: () => new callbacks.BatchSchedCB(schedule),
  BatchTransformCB: () => new callbacks.BatchTransformCB(([x, y]) => [tf.mul(x, 0.5), y]),
  CapturePreds: () => new callbacks.CapturePreds(),
  CheckpointCB: () => new callbacks.CheckpointCB({ path, everyBatches: 1 }),
  DeviceCB: () => new callbacks.DeviceCB(),
  EMACB: () => new callbacks.EMACB(0.5),
  EarlyStoppingCB: () => new callbacks.EarlyStoppingCB({ patience: 1, minDelta: 1e3 }),
  EpochSchedCB: () => new callbacks.EpochSchedCB(schedule),
  GradientClipCB: () => new callbacks.GradientClipCB(0.1),
  HooksCallback: () => new callbacks.HooksCallback(() => {}, { onValid: true }),
  LRFinderCB: () => new callbacks.LRFinderCB({ maxMult: 1e9 }),
  MetricsCB: () => quiet(),
  MixedPrecision: () => new callbacks.MixedPrecision({ log: () => {} }),
  PowerEMACB: () => new callbacks.PowerEMACB(0.2),
  ProgressCB: () => new callbacks.ProgressCB(() => {}),
  RecorderCB: () => new callbacks.RecorderCB({ loss: (learn) => learn.loss }),
  SingleBatchCB: () => new callbacks.SingleBatchCB(),
  TerminateOnNaNCB: () => new callbacks.TerminateOnNaNCB(),
  TestTimeDropoutCB: () => new callbacks.TestTimeDropoutCB(),
  TrainCB: () => new callbacks.TrainCB(),
};

/** Classes that others extend. */
const ABSTRACT = ["SchedCB", "AverageCB"];

Deno.test("every callback is swept", () => {
  const classes = Object.entries(callbacks).filter(([name, x]) =>
    typeof x === "function" && x.prototype instanceof Callback && !ABSTRACT.includes(name)
  );
  assertEquals(Object.keys(MAKE).sort(), classes.map(([name]) => name).sort());
});

/** A learner whose every kind of layer and state matters. */
async function learner(seed: number, name: string, state?: StateDict) {
  setSeed(seed);
  const model = new Sequential(
    new Linear(3, 8),
    new BatchNorm1d(8),
    new Dropout(0.3),
    new Linear(8, 1),
  );
  if (state) model.loadStateDict(state);
  setSeed(seed);
  const metrics = quiet();
  const cbs = [new DeviceCB(), metrics];
  const make = name === "TrainCB" ? Learner : TrainLearner;
  const optFunc = (params: ConstructorParameters<typeof Adam>[0], lr: number) => new Adam(params, { lr });
  return { metrics, learn: new make(model, await sums(), { lr: 0.05, cbs, optFunc }) };
}

/** What a fit with a callback comes to. */
async function outcome({ learn, metrics }: Awaited<ReturnType<typeof learner>>, cb: Callback) {
  await learn.fit(3, { cbs: [cb] });
  const weights: Record<string, number[]> = {};
  for (const [key, x] of Object.entries(learn.model.stateDict())) weights[key] = await numbers(x);
  return {
    weights,
    rows: metrics.rows,
    steps: learn.opt!.state().step,
    epoch: learn.epoch,
    modes: [...learn.model.namedModules()].map(([, m]) => m.training),
    gradients: learn.model.parameters().filter((p) => p.grad).length,
  };
}

const ENDINGS: Record<string, () => void> = {
  "at its end": () => {},
  "by a cancel": () => {
    throw new CancelFitException();
  },
  "by an error": () => {
    throw new Error("boom");
  },
};

for (const [name, make] of Object.entries(MAKE)) {
  for (const [ending, end] of Object.entries(ENDINGS)) {
    Deno.test(`${name}: after a fit that ended ${ending}, the next is as with a fresh one`, async () => {
      const used = make();
      class End extends Callback {
        override order = 1000;
        override afterBackward({ iter }: Learner) {
          if (iter === 1) end();
        }
      }
      const first = await learner(1, name);
      await first.learn.fit(2, { cbs: [used, new End()] }).catch(({ message }) =>
        assertEquals(message, "boom")
      );
      // Another model.
      assertEquals(
        await outcome(await learner(2, name), used),
        await outcome(await learner(2, name), make()),
      );
      // The same model again, in the state that it is in; an average of it goes on, which only evaluation shows.
      const state = first.learn.model.stateDict();
      const next = async (cb: Callback) => ({
        ...await outcome(await learner(3, name, state), cb),
        rows: [],
      });
      assertEquals(await next(used), await next(make()));
    });
  }

  Deno.test(`${name}: memory is level from epoch to epoch and from fit to fit`, async () => {
    const levels: number[] = [], ends: number[] = [];
    class Level extends Callback {
      override order = 2000;
      override cleanupEpoch({ training }: Learner) {
        if (!training) levels.push(tf.memory().numTensors);
      }
    }
    const { learn } = await learner(1, name), cb = make();
    for (let i = 0; i < 4; i++) {
      await learn.fit(4, { cbs: [cb, new Level()] });
      ends.push(tf.memory().numTensors);
      const { length } = levels;
      if (length) assertEquals(new Set(levels.splice(0).slice(1)).size <= 1, true, `${levels}`);
    }
    assertEquals(new Set(ends.slice(1)).size, 1, `${ends}`);
    assert(learn.model.parameters().every((p) => !p.isDisposed));
  });
}
