/**
 * Everything that waits, two at once, begun and interleaved at random moments: each comes to what it comes to alone, and
 * memory and modes are as before.
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ArrayDataset,
  Callback,
  CancelFitException,
  Conv2d,
  DataLoader,
  DataLoaders,
  DDPMCB,
  DDPMTrainCB,
  defaultGenerator,
  DeviceCB,
  Dropout,
  EMACB,
  F,
  type FitOptions,
  Generator,
  grad,
  HostArray,
  Learner,
  linearSchedule,
  type MetricsCB,
  Module,
  noGrad,
  type Optimizer,
  Parameter,
  RecorderCB,
  sample,
  setSeed,
  SGD,
  Tape,
  type Tensor,
  tf,
  TrainCB,
  TrainLearner,
  withMode,
} from "../../../mod.ts";
import { line, quiet, weights } from "../../callbacks/lines.ts";
import { device, numbers } from "../../support.ts";

/** A small model of noise with dropout. */
class Net extends Module<[Tensor | [Tensor, Tensor | number], (Tensor | number)?], Tensor> {
  first = new Conv2d(1, 4, 3, { padding: 1 });
  drop = new Dropout(0.3);
  second = new Conv2d(4, 1, 3, { padding: 1 });
  override forward(input: Tensor | [Tensor, Tensor | number]): Tensor {
    const x = Array.isArray(input) ? input[0] : input;
    return this.second.call(F.silu(this.drop.call(this.first.call(x))));
  }
}

const schedule = linearSchedule({ nSteps: 6, betaMax: 0.3 });
const IMAGES = 8, SIDE = 4;

/** Ends after some turns of the event loop, or of the promises alone. */
type Pause = () => Promise<void>;
function pauses(seed: number): Pause {
  const draws = new Generator(seed);
  return async () => {
    const [kind, turns] = draws.integers(2, 0, 4);
    for (let i = 0; i <= turns; i++) await (kind ? Promise.resolve() : new Promise((r) => setTimeout(r, 0)));
  };
}

/** Waits at many points, in every mode of a learner. */
class Pauses extends Callback {
  override order = 50;
  override readonly shareable = true;
  constructor(readonly pause: Pause) {
    super();
    for (
      const event of ["beforeEpoch", "beforeBatch", "afterPredict", "afterLoss", "afterBackward"] as const
    ) {
      this[event] = pause;
    }
    // What it reads after an await is of its own fit.
    this.afterBatch = async (learn: Learner) => {
      const seen = [learn.current, learn.epoch, learn.iter, learn.training, learn.loss];
      await pause();
      assertEquals([learn.current, learn.epoch, learn.iter, learn.training, learn.loss], seen);
    };
  }
}

/** What pairs share: a model whose weights nobody changes, and a learner of it. */
function makeWorld(pause: Pause) {
  setSeed(1);
  const model = new Net(), draws = new Generator(5);
  const images = new ArrayDataset(
    new HostArray(draws.normalArray(IMAGES * SIDE * SIDE), [IMAGES, SIDE, SIDE, 1]),
    new HostArray(draws.integers(IMAGES, 0, 3), [IMAGES]),
  );
  const loaders = () =>
    new DataLoaders(
      new DataLoader(images, { batchSize: 4, shuffle: true, seed: 2 }),
      new DataLoader(images, { batchSize: 4 }),
    );
  const learner = (of: Net, cbs: Callback[], lr: number) =>
    new TrainLearner(of, loaders(), {
      lr,
      cbs: [new DeviceCB(), new DDPMCB({ schedule }), new Pauses(pause), ...cbs],
      optFunc: (params, lr) => new SGD(params, { lr }),
    });
  const average = new EMACB(0.5);
  const learn = learner(model, [], 0);
  return { model, learn, learner, average, loaders, pause };
}
type World = ReturnType<typeof makeWorld>;

/** A model of its own, with the shared one's weights. */
function copyOfModel({ model }: World): Net {
  const state = defaultGenerator.state, copy = new Net();
  copy.loadStateDict(model.stateDict());
  defaultGenerator.state = state;
  return copy;
}

/** All numbers of arrays. */
const list = (...arrays: HostArray[]) => arrays.map(({ data }) => Array.from(data));

async function fitOf(learn: TrainLearner, extra: Callback[] = [], options: FitOptions = {}) {
  const recorder = new RecorderCB({ loss: ({ loss }) => loss }), metrics = quiet();
  const rows = ({ rows }: MetricsCB) => rows.map(({ epoch, train, loss }) => [epoch, train, loss]);
  const cbs = [recorder, metrics, ...extra];
  const error = await learn.fit(2, { ...options, cbs }).then(() => null, ({ message }) => message);
  return [recorder.values.loss, rows(metrics), error];
}

/** Each thing that a program waits for; none changes the weights of the shared model for good. */
const WORK: Record<string, (world: World) => Promise<unknown>> = {
  fit: async ({ learn }) => await fitOf(learn),
  "fit of a model that has other weights then": async (world) => {
    const model = copyOfModel(world), learn = world.learner(model, [], 0.05);
    const result = [await fitOf(learn), await numbers(model.first.weight)];
    learn.dispose();
    model.dispose();
    return result;
  },
  "fit that ends by an error": async (world) => {
    const model = copyOfModel(world), learn = world.learner(model, [], 0.05);
    const fail = Object.assign(new Pauses(world.pause), {
      afterStep() {
        throw new Error("boom");
      },
    });
    const result = [await fitOf(learn, [fail]), await numbers(model.first.weight)];
    learn.dispose();
    model.dispose();
    return result;
  },
  "fit that is cancelled": async (world) => {
    const model = copyOfModel(world), learn = world.learner(model, [], 0.05);
    const cancel = Object.assign(new Pauses(world.pause), {
      afterBackward(learn: Learner) {
        if (learn.iter === 1) throw new CancelFitException();
      },
    });
    const result = [await fitOf(learn, [cancel]), await numbers(model.first.weight)];
    learn.dispose();
    model.dispose();
    return result;
  },
  evaluation: async (world) => await fitOf(world.learner(world.model, [], 0), [], { train: false }),
  "evaluation of the average": async (world) =>
    await fitOf(world.learner(world.model, [], 0), [world.average], { train: false }),
  capturePreds: async ({ learn }) => list(...await learn.capturePreds()),
  "capturePreds with dropout": async (world) => {
    const of = world.learner(world.model, [], 0);
    return list(...await of.capturePreds([new DrawsOfItsOwn()]));
  },
  tta: async ({ learn }) => list(...await learn.tta(([[x, t], ε]) => [[tf.reverse(x, 2), t], ε])),
  summary: async ({ learn }) => await learn.summary(() => {}),
  showImageBatch: async ({ learn }) => await learn.showImageBatch(),
  lrFind: async (world) => {
    const model = copyOfModel(world), learn = world.learner(model, [], 0.05);
    const { lrs, losses } = await learn.lrFind({ maxEpochs: 2, log: () => {} });
    const result = [lrs, losses, await numbers(model.first.weight)];
    model.dispose();
    return result;
  },
  sample: async ({ model, pause }) =>
    list(...await sample(model, [1, SIDE, SIDE, 1], { schedule, onStep: pause })),
  "sample with a seed": async ({ model, pause }) => {
    const generator = new Generator(3);
    const images = await sample(model, [2, SIDE, SIDE, 1], { schedule, generator, onStep: pause });
    return [list(...images), generator.state];
  },
  "sample that is aborted": async ({ model, pause }) => {
    const controller = new AbortController(), { signal } = controller, steps: number[] = [];
    const onStep = async (t: number) => {
      steps.push(t);
      await pause();
      if (t === 3) controller.abort(new Error("gone"));
    };
    const error = await sample(model, [1, SIDE, SIDE, 1], { schedule, signal, onStep }).catch((e) =>
      e.message
    );
    return [error, steps];
  },
  "sample of the average": async ({ model, average, pause }) => {
    class Averaged extends Module<[Tensor, number], Tensor> {
      model = model;
      override forward(x: Tensor): Tensor {
        return average.withAverage(() => model.call(x));
      }
    }
    return list(...await sample(new Averaged(), [1, SIDE, SIDE, 1], { schedule, onStep: pause }));
  },
  "a tape of one's own": async ({ pause }) => {
    const tape = new Tape(), p = new Parameter(tf.scalar(3));
    const made: Tensor[] = [];
    const keep = (x: Tensor) => made[made.push(x) - 1];
    tape.start();
    const square = keep(tf.square(p));
    await pause();
    const held = tape.length;
    const product = keep(tf.mul(square, p));
    await pause();
    tape.stop();
    const length = tape.length - held;
    tape.backward(product);
    const result = [length, await numbers(p.grad!), await numbers(product)];
    tf.dispose(made);
    p.dispose();
    return result;
  },
  "tensors of one's own": async ({ pause }) => {
    const x = tf.tensor1d([1, 2, 3]);
    await pause();
    const y = tf.square(x);
    await pause();
    const result = [await numbers(x), await numbers(y)];
    tf.dispose([x, y]);
    return result;
  },
};

/** Dropout in evaluation, drawing where the shared generator stands. */
class DrawsOfItsOwn extends Callback {
  override beforeFit(learn: Learner) {
    const { drop } = learn.model as Net;
    learn.current.wrap("predict", (predict) => () => {
      drop.train();
      return predict();
    });
  }
}

/** What there cannot be two of: fits of one learner or with one average, and tapes that are not one inside the other. */
const ONCE = ["fit", "evaluation of the average", "a tape of one's own"];

/** Trials of the learner that fits: they may begin beside the fit, but it not beside them. */
const TRIALS = ["capturePreds", "tta", "summary", "showImageBatch"];

/** What some work comes to alone, from a place of the shared generator. */
const alone = new Map<string, Promise<unknown>>();

Deno.test("all that waits, in pairs: each result is bitwise that of the work alone", async () => {
  const names = Object.keys(WORK), pairs = names.flatMap((a) => names.map((b) => [a, b]));
  const draws = new Generator(8);
  // A GPU in software takes its time: there some of the pairs.
  const chosen = device.name === "wasm" ? pairs : pairs.filter(() => draws.uniformArray(1)[0] < 0.15);
  const expected = (name: string, state: typeof defaultGenerator.state) => {
    const key = name + JSON.stringify(state);
    if (!alone.has(key)) alone.set(key, run(name, state));
    return alone.get(key);
  };
  async function run(name: string, state: typeof defaultGenerator.state) {
    const world = makeWorld(() => Promise.resolve());
    await warm(world);
    defaultGenerator.state = state;
    return await WORK[name](world);
  }
  /** There is an average, other than the weights, and an optimiser. */
  const warm = async ({ learn, average }: World) => {
    await learn.fit(1, { lr: 0.05, cbs: [average] });
    setSeed(4);
  };
  for (const [i, [a, b]] of chosen.entries()) {
    if (a === b && ONCE.includes(a) || b === "fit" && TRIALS.includes(a)) continue;
    const wait = pauses(100 + i), world = makeWorld(wait);
    await warm(world);
    const { numTensors } = tf.memory(), modes = modesOf(world.model);
    const states = [defaultGenerator.state];
    const first = WORK[a](world);
    for (let n = i % 5; n > 0; n--) await wait();
    states.push(defaultGenerator.state);
    const second = WORK[b](world);
    const results = await Promise.all([first, second]);
    assertEquals(tf.memory().numTensors, numTensors, `${a} beside ${b}: tensors`);
    if (a !== "fit" && b !== "fit") assertEquals(modesOf(world.model), modes, `${a} beside ${b}: modes`);
    assert(world.model.parameters().every(({ grad }) => grad === null));
    for (const [n, name] of [a, b].entries()) {
      assertEquals(results[n], await expected(name, states[n]), `${name}, of ${a} beside ${b}`);
    }
    world.learn.dispose();
    world.average.dispose();
    world.model.dispose();
  }
});

/** The mode of each module. */
const modesOf = (model: Module) => Array.from(model.namedModules(), ([, m]) => m.training);

Deno.test("what takes part in a fit that is running is refused to another, before anything is touched", async () => {
  let began = 0;
  class Counts extends Callback {
    override beforeFit() {
      began++;
    }
  }
  const slow = Object.assign(new Pauses(pauses(1)), {}), own = new Counts();
  const make = async (cbs: Callback[]) => await line([slow, ...cbs]);
  const [one, other] = [await make([own]), await make([own])];
  const expected = await (async () => {
    const learn = await line([]);
    await learn.fit(2);
    return await weights(learn);
  })();
  const fit = one.fit(2), before = await weights(other), { numTensors } = tf.memory();
  await assertRejects(() => other.fit(1), Error, "fit: another fit that is running has this Counts");
  assertEquals([began, other.opt, tf.memory().numTensors], [1, null, numTensors]);
  assertEquals(await weights(other), before);
  // An optimiser that is in use; the same one for fit after fit goes on.
  other.cbs = [new DeviceCB()];
  let shared: Optimizer | undefined = undefined;
  other.optFunc = () => one.opt!;
  await assertRejects(() => other.fit(1), Error, "fit: optFunc gave an optimiser that is in use");
  await fit;
  assertEquals(await weights(one), expected);
  other.optFunc = (params, lr) => shared ??= new SGD(params, { lr });
  await other.fit(1);
  await other.fit(1);
  assertEquals(shared!.state().step, 6);
  await assertRejects(() => other.lrFind({ log: () => {} }), Error, "Make a new one at each call");
  await one.fit(1); // the callback is free again
  assertEquals(began, 2);
});

Deno.test("a learner is not disposed of while a fit is running", async () => {
  const learn = await line([new Pauses(pauses(1))]), fit = learn.fit(1);
  assertThrows(() => learn.dispose(), Error, "dispose: a fit of this learner is running. Wait for it");
  await fit;
  learn.dispose();
});

Deno.test("lrFind that fails in the middle leaves the model as it was", async () => {
  const fail = Object.assign(new Pauses(() => Promise.resolve()), {
    afterStep: ({ iter }: Learner) => {
      if (iter === 2) throw new Error("boom");
    },
  });
  const learn = await line([fail]), before = await weights(learn), { numTensors } = tf.memory();
  await assertRejects(() => learn.lrFind({ startLr: 0.1, log: () => {} }), Error, "boom");
  assertEquals(await weights(learn), before);
  assertEquals(tf.memory().numTensors, numTensors);
});

Deno.test("an evaluation that draws leaves training's draws as they are, and a fit those of others", async () => {
  /** Draws from the shared generator in every mode. */
  class Noise extends Module<[Tensor], Tensor> {
    inner = new Conv2d(1, 1, 1);
    override forward(x: Tensor): Tensor {
      return tf.add(this.inner.call(x), tf.mul(defaultGenerator.normal(x.shape), 0.1));
    }
  }
  const images = new HostArray(new Generator(1).normalArray(64), [4, 4, 4, 1]);
  const fit = async (valid: boolean, beside?: () => Promise<void>) => {
    setSeed(3);
    const model = new Noise(), data = new ArrayDataset(images, images);
    const learn = new TrainLearner(model, DataLoaders.from(data, data, { batchSize: 2 }), {
      cbs: [new DeviceCB(), new Pauses(pauses(2))],
    });
    const fitting = learn.fit(2, { valid });
    await beside?.();
    await fitting;
    return [await numbers(model.inner.weight), beside ? null : defaultGenerator.state];
  };
  const plain = await fit(true);
  assertEquals(await fit(false), plain);
  const [beside] = await fit(true, async () => {
    for (let i = 0; i < 20; i++) {
      await sample(new Net(), [1, SIDE, SIDE, 1], { schedule });
      defaultGenerator.uniformArray(3);
    }
  });
  assertEquals(beside, plain[0]);
});

Deno.test("noGrad, withMode, withAverage and grad refuse what goes on after they return; all is as before", async () => {
  const model = new Dropout(0.5), x = new Parameter(tf.scalar(3)), average = new EMACB();
  const refused = async (name: string, call: (body: () => Promise<number>) => unknown) => {
    const tape = new Tape();
    tape.start();
    for (const body of [async () => await Promise.resolve(1), () => Promise.reject(new Error("nobody's"))]) {
      const message =
        `${name} takes a function that returns at once, not one of a promise: await outside of it`;
      assertThrows(() => call(body as () => Promise<number>), Error, message);
    }
    const y = tf.square(x); // recording goes on
    tape.stop();
    assertEquals([tape.length > 0, model.training], [true, true]);
    tape.backward(y);
    assertEquals(await numbers(x.grad!), [6]);
    x.zeroGrad();
    y.dispose();
  };
  await refused("noGrad", (body) => noGrad(body));
  await refused("withMode", (body) => withMode(model, false, body));
  await refused("withAverage", (body) => average.withAverage(body));
  // deno-lint-ignore no-explicit-any
  await refused("grad", (body) => grad(body as any, []));
  x.dispose();
});

Deno.test("a callback that noises or trains is there once", async () => {
  const learn = await line([]);
  const plain = new Learner(learn.model, learn.dls, { cbs: [new DeviceCB()] });
  const fit = (...cbs: Callback[]) => () => plain.fit(1, { cbs });
  const both = "there are DDPMCB and DDPMTrainCB: leave one out";
  await assertRejects(
    fit(new DDPMCB(), new DDPMTrainCB()),
    Error,
    `one callback that noises the batch; ${both}`,
  );
  await assertRejects(
    fit(new TrainCB(), new DDPMTrainCB()),
    Error,
    "one callback that trains; there are TrainCB and",
  );
});
