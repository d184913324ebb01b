/** TerminateOnNaNCB. */
import { Callback, CancelFitException, type Learner, noGrad, Tensor, tf } from "../core/mod.ts";

/**
 * Ends the fit at the first loss that is not finite, and says in which batch, and which module's output is the first
 * to be so. It waits for each loss, which costs time on a GPU.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   TerminateOnNaNCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const guard = new TerminateOnNaNCB(() => {});
 * await new TrainLearner(new Linear(1, 1), dls, { lr: 1e20, cbs: [new DeviceCB(), guard] }).fit(5);
 * assert(/^The loss is (Infinity|NaN) in epoch 0, \w+ batch \d: /.test(guard.problem!));
 * ```
 */
export class TerminateOnNaNCB extends Callback {
  /** What went wrong, once it has. */
  problem: string | undefined;
  #log: (line: string) => void;

  /**
   * Guards the loss.
   * @param log takes the line that tells; default `console.error`
   */
  constructor(log: (line: string) => void = console.error) {
    super();
    this.#log = log;
  }

  /** Reads the loss, and ends the fit where it is not finite. */
  override async afterLoss(learn: Learner): Promise<void> {
    const loss = (await learn.loss.data())[0];
    if (Number.isFinite(loss)) return;
    const half = learn.training ? "training" : "evaluation";
    const where = await firstNotFinite(learn);
    this.problem = `The loss is ${loss} in epoch ${learn.epoch}, ${half} batch ${learn.iter}: ${where}`;
    this.#log(this.problem);
    throw new CancelFitException();
  }
}

/** Predicts again and names the first module whose output is not finite. */
async function firstNotFinite(learn: Learner): Promise<string> {
  const leaves = [...learn.model.namedModules()].filter(([, m]) => m.children().length === 0);
  const found: [string, Tensor][] = [];
  const undo = leaves.map(([name, m]) =>
    m.registerForwardHook((_, __, out) => {
      if (out instanceof Tensor) {
        found.push([`${name || "model"} (${m.constructor.name})`, tf.keep(tf.sum(tf.mul(out, 0)))]);
      }
    })
  );
  try {
    await learn.within("predict", () => noGrad(() => learn.predict()));
    // 0·x is 0 unless x is infinite or no number
    for (const [name, zero] of found) {
      if ((await zero.data())[0] !== 0) return `the first output that is not finite is that of ${name}`;
    }
    return "every layer's output is finite";
  } finally {
    undo.forEach((f) => f());
    found.forEach(([, t]) => t.dispose());
  }
}
