/** What belongs to one fit: callbacks, wrapped phases, states, tensors, modes, errors; trials; what is refused. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  type Batch,
  BatchNorm1d,
  Callback,
  CancelBatchException,
  CancelFitException,
  DataLoaders,
  DDPMCB,
  DDPMTrainCB,
  DeviceCB,
  Dropout,
  type FitOptions,
  HooksCallback,
  Learner,
  type LearnerOptions,
  Linear,
  loaderOf,
  MomentumLearner,
  perFit,
  Sequential,
  type Tensor,
  tf,
  TrainCB,
  TrainLearner,
  withMode,
} from "../../../mod.ts";
import { line, quiet, sums, weights } from "../../callbacks/lines.ts";
import { assertClose, device, numbers } from "../../support.ts";

/** A callback of these methods. */
const callback = (methods: Partial<Callback>) => Object.assign(new (class extends Callback {})(), methods);

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** How a fit may end. */
const ENDINGS: Record<string, () => void> = {
  "at its end": () => {},
  "by a cancel": () => {
    throw new CancelFitException();
  },
  "by an error": () => {
    throw new Error("boom");
  },
};

Deno.test("a callback whose phase would never be called is refused before anything runs", async () => {
  let ran = 0;
  const count = callback({ beforeFit: () => void ran++ });
  class Predicts extends Callback {
    override predict() {}
  }
  const learn = await line([count]);
  await assertRejects(
    () => learn.fit(1, { cbs: [new Predicts()] }),
    Error,
    "Predicts.predict would never be called: TrainLearner does predict itself. Use Learner with Predicts",
  );
  await assertRejects(
    () => learn.fit(1, { cbs: [new DDPMTrainCB()] }),
    Error,
    "DDPMTrainCB.predict would never be called: TrainLearner does predict, getLoss, backward, step, zeroGrad itself",
  );
  const idle = new Learner(new Linear(3, 1), await sums(), { cbs: [new DeviceCB(), count] });
  await assertRejects(
    () => idle.fit(1),
    Error,
    "Learner leaves predict, getLoss, backward, step, zeroGrad to callbacks, and none of them does that: nothing would be trained. " +
      "Add TrainCB to the callbacks, or use TrainLearner",
  );
  assertEquals([ran, learn.opt, idle.opt], [0, null, null]);
  await assertRejects(
    () => idle.fit(1, { train: false }),
    Error,
    "Learner leaves predict to callbacks, and none of them does that: nothing would be predicted",
  );
  class Keeps extends Callback {
    override predict() {}
    override getLoss() {}
    override backward() {}
    override step() {}
  }
  await assertRejects(
    () => idle.fit(1, { cbs: [new Keeps()] }),
    Error,
    "Learner leaves zeroGrad to callbacks",
  );
  for (const [one, other] of [[new TrainCB(), new TrainCB()], [new DDPMCB(), new DDPMCB()]]) {
    const { name } = one.constructor;
    const twice = () => idle.fit(1, { cbs: [new TrainCB(), one, other] });
    await assertRejects(twice, Error, `there are ${name} and ${name}: leave one out`);
  }
  assertEquals(ran, 0);
  await idle.fit(1, { cbs: [new TrainCB()] });
  assertEquals(ran, 1);
});

for (const [name, end] of Object.entries(ENDINGS)) {
  Deno.test(`what is put around a phase is undone when a fit ends ${name}; the last is the outermost`, async () => {
    const seen: string[] = [];
    const around = (label: string, order: number) =>
      Object.assign(
        callback({
          beforeFit: (learn) =>
            learn.current.wrap("step", (inner) => () => {
              seen.push(label);
              return inner();
            }),
          afterBatch: end,
        }),
        { order },
      );
    const learn = await line([], { batchSize: 24 }), fields = Object.keys(learn);
    await learn.fit(1, { valid: false, cbs: [around("outer", 1), around("inner", 0)] }).catch(() => {});
    assertEquals(seen, ["outer", "inner"]);
    await learn.fit(1);
    assertEquals([seen.length, Object.keys(learn)], [2, fields]);
  });
}

Deno.test("a state of one fit is made anew for each; a callback given twice runs once", async () => {
  const counts: number[] = [];
  class Count extends Callback {
    readonly #fit = perFit(() => ({ batches: 0 }));
    override afterBatch(learn: Learner) {
      this.#fit(learn).batches++;
    }
    override cleanupFit(learn: Learner) {
      counts.push(this.#fit(learn).batches);
    }
  }
  const count = new Count(), learn = await line([count]);
  await learn.fit(1, { cbs: [count] });
  await learn.fit(1, { valid: false });
  assertEquals(counts, [4, 3]);
  assertEquals(learn.cbs.length, 2);
});

Deno.test("tensors of a callback: dropped ones go at once, async ones and the batch's when it ends, kept ones stay", async () => {
  const made: Record<string, Tensor> = {}, alive: Record<string, string[]> = {};
  const look = (when: string) => {
    alive[when] = Object.entries(made).filter(([, x]) => !x.isDisposed).map(([name]) => name);
  };
  const cb = callback({
    beforeBatch: (learn) => {
      made.dropped = tf.scalar(1);
      made.kept = tf.keep(tf.scalar(2));
      learn.batch = [made.batch = tf.mul(learn.batch[0], 1), learn.batch[1]];
    },
    afterPredict: async () => {
      made.async = tf.scalar(3);
      await sleep(1);
    },
    afterLoss: (learn) => {
      look("after the loss");
      Object.assign(made, { preds: learn.preds, loss: learn.loss });
    },
    cleanupBatch: () => look("at the batch's end"),
    afterEpoch: () => look("after the epoch"),
  });
  await (await line([Object.assign(cb, { order: 10 })], { batchSize: 24 })).fit(1, { valid: false });
  assertEquals(alive, {
    "after the loss": ["kept", "batch", "async"],
    "at the batch's end": ["kept", "batch", "async", "preds", "loss"],
    "after the epoch": ["kept"],
  });
  made.kept.dispose();
});

Deno.test("tensors made beside a fit stay; of a loader's, those that it makes in its pass are freed", async () => {
  const old = tf.ones([4, 3]), seen: Tensor[] = [];
  const loader = loaderOf(function* () {
    for (let i = 0; i < 3; i++) yield [old, tf.ones([4, 1])] as Batch;
  });
  const learn = new TrainLearner(new Linear(3, 1), new DataLoaders(loader, loader), {
    cbs: [callback({
      afterLoss: async (learn) => {
        seen.push(learn.batch[1]);
        await sleep(5);
      },
    })],
  });
  const fit = learn.fit(1);
  await sleep(8);
  const mine = tf.tensor1d([1, 2, 3]), { numTensors } = tf.memory();
  await fit;
  assertEquals([await numbers(mine), old.isDisposed], [[1, 2, 3], false]);
  assert(seen.length === 6 && seen.every((x) => x.isDisposed));
  assert(tf.memory().numTensors <= numTensors);
});

Deno.test("predict runs in the mode of its pass whatever else sets; trials leave each module's own", async () => {
  const seen: boolean[] = [];
  const frozen = new BatchNorm1d(3), model = new Sequential(frozen, new Dropout(0.1), new Linear(3, 1));
  model.registerForwardHook((m) => void seen.push(m.training));
  const meddle = callback({ beforeBatch: (learn) => void learn.model.train(!learn.training) });
  const learn = new TrainLearner(model, await sums(24), { cbs: [new DeviceCB(), meddle] });
  await learn.fit(1);
  assertEquals(seen, [true, false]);
  learn.cbs.pop();
  model.train();
  frozen.eval();
  await learn.capturePreds();
  await learn.fit(1, { train: false });
  assertEquals([model, ...model.children().map(([, m]) => m)].map((m) => m.training), [
    true,
    false,
    true,
    true,
  ]);
  assertEquals(withMode(model, false, () => model.training), false);
  assertEquals([model.training, frozen.training], [true, false]);
});

Deno.test("of several errors the first comes out, the others as its cause; every cleanup runs", async () => {
  const cleaned: string[] = [];
  const cb = (name: string, methods: Partial<Callback> = {}) =>
    callback({
      cleanupFit: () => {
        cleaned.push(name);
        throw new Error(`cleanup of ${name}`);
      },
      ...methods,
    });
  const learn = await line([]);
  const fail = (error: Error) => ({
    afterLoss: () => {
      throw error;
    },
  });
  const error = await assertRejects(
    () => learn.fit(1, { cbs: [cb("a", fail(new Error("the first"))), cb("b")] }),
    Error,
    "the first",
  );
  assertEquals(cleaned, ["a", "b"]);
  const [a, b] = [error.cause as Error, (error.cause as Error).cause as Error];
  assertEquals([a.message, b.message, b.cause], ["cleanup of a", "cleanup of b", undefined]);
  const frozen = Object.freeze(new Error("frozen"));
  const fails = fail(frozen);
  await assertRejects(() => learn.fit(1, { cbs: [cb("a", fails)] }), Error, "frozen");
  // To cancel is no error: the cleanup's comes out.
  await assertRejects(
    () => learn.fit(1, { cbs: [cb("a", fail(new CancelFitException()))] }),
    Error,
    "cleanup of a",
  );
  await learn.fit(1);
});

Deno.test("an async phase goes on in learn.within: recorded, in its mode", async () => {
  class Late extends TrainCB {
    override async predict(learn: Learner) {
      await sleep(1);
      learn.within("predict", () => {
        learn.preds = learn.model.call(learn.batch[0]);
      });
    }
  }
  const results: number[][] = [];
  for (const cb of [new TrainCB(), new Late()]) {
    const { model, dls } = await line([]);
    const learn = new Learner(model, dls, { lr: 0.05, cbs: [new DeviceCB(), cb] });
    await learn.fit(2);
    results.push(await weights(learn));
  }
  assertEquals(results[0], results[1]);
});

Deno.test("a second fit is refused before it touches anything; a trial inside or beside leaves the fit as it was", async () => {
  const run = async (
    during?: (learn: TrainLearner) => Promise<void>,
    beside?: (learn: TrainLearner) => Promise<void>,
  ) => {
    const metrics = quiet(), at: string[] = [];
    const learn = await line([metrics]);
    learn.cbs.push(Object.assign(
      callback({
        afterBatch: async (l) => {
          await during?.(learn);
          at.push([l.epoch, l.iter, l.training, l.opt!.state().step].join());
          await sleep(1);
        },
        inTrials: () => false,
      }),
      { order: 5 },
    ));
    const fit = learn.fit(2);
    await beside?.(learn);
    await fit;
    return { weights: await weights(learn), rows: metrics.rows, at };
  };
  const plain = await run();
  const inside = await run(async (learn) => {
    const [preds] = await learn.capturePreds();
    assertEquals(preds.shape, [8, 1]);
    await learn.summary(() => {});
    await learn.tta((batch) => batch);
  });
  assertEquals(inside, plain);
  const beside = await run(undefined, async (learn) => {
    await sleep(3);
    await Promise.all([learn.capturePreds(), learn.capturePreds()]);
  });
  assertEquals(beside, plain);
  const refused = await run(async (learn) => {
    const opt = learn.opt;
    const again = (options: FitOptions) => () => learn.fit(1, options);
    await assertRejects(again({}), Error, "a fit of this learner is running");
    await assertRejects(again({ train: false }), Error, "a fit of this learner is running");
    await assertRejects(() => learn.lrFind(), Error, "another fit is training this model");
    const other = new TrainLearner(learn.model, learn.dls, { cbs: [new DeviceCB()] });
    await assertRejects(() => other.fit(1), Error, "another fit is training this model");
    await other.fit(1, { train: false });
    assertEquals(learn.opt, opt);
  });
  assertEquals(refused, plain);
});

Deno.test("two fits of two models at once come to what each comes to alone", async () => {
  const make = async (lr: number) => {
    const learn = await line([callback({ afterLoss: () => sleep(1) })], { lr });
    return async () => {
      await learn.fit(2);
      return await weights(learn);
    };
  };
  const alone = [await (await make(0.05))(), await (await make(0.01))()];
  const together = await Promise.all([(await make(0.05))(), (await make(0.01))()]);
  assertEquals(together, alone);
});

Deno.test("hooks of a fit do not see what else uses the model", async () => {
  let seen = 0;
  const hooks = new HooksCallback(() => void seen++, { modFilter: () => true, onValid: true });
  const learn = await line([hooks, callback({ afterLoss: (l) => void l.model.call(l.batch[0]) })]);
  await learn.fit(1);
  assertEquals(seen, 4);
});

Deno.test("what learn shows is the current or last fit", async () => {
  const learn = await line([]);
  assertEquals([learn.epochs, learn.nEpochs, learn.opt], [[], 0, null]);
  await learn.fit(2);
  assertEquals([learn.epoch, learn.nEpochs, learn.iter, learn.training], [1, 2, 1, false]);
  assertMatch(String(learn.opt!.state().step), /^6$/);
  assertEquals(learn.epochs, learn.current.epochs);
});

Deno.test("a loss that is not finite ends the fit after its batch, with what to do; unless it is not to", async () => {
  let batches = 0;
  const bad = async (cbs: Callback[] = []) => {
    const learn = await line([callback({ afterBatch: () => void batches++ }), ...cbs]);
    (learn.model as Linear).weight.assign(tf.fill([1, 3], NaN));
    return learn;
  };
  const learn = await bad();
  await assertRejects(
    () => learn.fit(3),
    Error,
    "The loss is NaN in epoch 0, training batch 0: the weights are lost",
  );
  assert(batches <= (device.name === "wasm" ? 1 : 3), `${batches} batches`);
  await assertRejects(
    () => learn.fit(3),
    Error,
    "with a lower learning rate, with GradientClipCB, or with a larger eps",
  );
  batches = 0;
  await learn.fit(1, { finite: false });
  assertEquals(batches, 4);
});

Deno.test("what is missing is named: batches, DeviceCB, an optimiser, a model that takes a pair", async () => {
  const { model, dls } = await line([]);
  const none = loaderOf(function* () {});
  const fit = (dls: DataLoaders, options: LearnerOptions, fitOptions: FitOptions = {}) => () =>
    new TrainLearner(model, dls, { cbs: [new DeviceCB()], ...options }).fit(1, fitOptions);
  await assertRejects(fit(new DataLoaders(none, dls.valid), {}), Error, "dls.train gave no batch");
  await assertRejects(
    fit(new DataLoaders(dls.train, none), {}),
    Error,
    "{ valid: false } leaves the pass out",
  );
  await fit(new DataLoaders(dls.train, none), {}, { valid: false })();
  await assertRejects(fit(dls, { cbs: [] }), Error, "still on the host: add DeviceCB");
  await assertRejects(
    fit(dls, { optFunc: null }),
    Error,
    "its optFunc is null, which is for fits with { train: false }",
  );
  await fit(dls, { optFunc: null }, { train: false })();
  const pair = callback({ beforeBatch: (learn) => void (learn.batch = [[...learn.batch], learn.batch[1]]) });
  await assertRejects(
    fit(dls, { cbs: [new DeviceCB(), pair] }),
    Error,
    "Linear was given several inputs as one array, and failed: ",
  );
});

Deno.test("without a device, the first tensor says to start one", async () => {
  const mod = new URL("../../../mod.ts", import.meta.url).href;
  const code =
    `import { Linear } from "${mod}"; try { new Linear(1, 1); } catch ({ message }) { console.log(message); }`;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", "--no-check", code] }).output();
  assertEquals(new TextDecoder().decode(stdout), "No device yet: call `await useDevice()` first\n");
});

Deno.test("MomentumLearner: a batch that is cancelled before its step leaves the gradient, after it the share of it", async () => {
  const gradients = async (make: typeof TrainLearner, event?: "afterBackward" | "afterStep") => {
    const { model, dls } = await line([]), seen: number[][] = [];
    const watch = callback({
      afterBackward: async (learn) => void seen.push(await numbers((learn.model as Linear).weight.grad!)),
    });
    const cancel = callback({
      [event ?? "afterPredict"]: (learn: Learner) => {
        if (event && learn.iter === 1) throw new CancelBatchException();
      },
    });
    await new make(model, dls, { lr: 0, cbs: [new DeviceCB(), watch, cancel] }).fit(1, { valid: false });
    return seen;
  };
  const [g0, g1, g2] = await gradients(TrainLearner);
  const [, , before] = await gradients(MomentumLearner, "afterBackward");
  await assertClose(before, g0.map((g, i) => 0.85 * g + g2[i]), 1e-5);
  const [, , after] = await gradients(MomentumLearner, "afterStep");
  await assertClose(after, g0.map((g, i) => 0.85 * (0.85 * g + g1[i]) + g2[i]), 1e-5);
});
