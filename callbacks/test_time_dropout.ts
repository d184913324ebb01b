/** TestTimeDropoutCB. */
import {
  Callback,
  Dropout,
  Generator,
  type GeneratorState,
  type Learner,
  type Module,
  perFit,
} from "../core/mod.ts";
import { generatorsOf } from "./draws.ts";

/** Whether a module drops things: one of ours, or one whose class is called so. */
export function isDropout(module: Module): boolean {
  return module instanceof Dropout || /dropout/i.test(module.constructor.name);
}

/** The generators' place at the last of these passes of a model, and how many there were at it before. */
const lastPasses = new WeakMap<Module, { place: string; before: number }>();

/**
 * Keeps every dropout layer on in evaluation, and nothing else: batch norm stays as it is there. Each pass then draws
 * another thinned network, whose spread is a measure of confidence (Gal & Ghahramani 2016; lesson notebook 14). Its draws are
 * its own: training draws what it would without it.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   Dropout,
 *   HostArray,
 *   Linear,
 *   Sequential,
 *   TestTimeDropoutCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const model = new Sequential(new Linear(1, 64), new Dropout(0.5), new Linear(64, 1));
 * const learn = new TrainLearner(model, dls, { cbs: [new DeviceCB()] });
 * const [first] = await learn.capturePreds([new TestTimeDropoutCB()]);
 * const [second] = await learn.capturePreds([new TestTimeDropoutCB()]);
 * assert(first.data.every((v, i) => v !== second.data[i])); // two thinned networks
 * ```
 */
export class TestTimeDropoutCB extends Callback {
  /** Keeps nothing beyond a fit. */
  override readonly shareable: boolean = true;
  /** Where the draws of the current evaluation stand. */
  readonly #states = perFit(() => new Map<Generator, GeneratorState>());

  /** Switches dropout on around each prediction of an evaluation, and lends it draws of its own. */
  override beforeFit(learn: Learner): void {
    const dropouts = Array.from(learn.model.namedModules(), ([, m]) => m).filter(isDropout);
    learn.current.wrap("predict", (inner) => () => {
      if (learn.training) return inner();
      dropouts.forEach((m) => m.train());
      const states = this.#states(learn), before = Array.from(states.keys(), (g) => [g, g.state] as const);
      for (const [generator, state] of states) generator.state = state;
      try {
        return inner();
      } finally {
        for (const [generator, state] of before) {
          states.set(generator, generator.state);
          generator.state = state;
        }
      }
    });
  }

  /** Begins the draws of an evaluation: other ones than of the evaluations of this model before. */
  override beforeEpoch(learn: Learner): void {
    if (learn.training) return;
    const generators = generatorsOf(learn.model);
    const place = JSON.stringify(Array.from(generators, (g) => g.state));
    const last = lastPasses.get(learn.model), before = last?.place === place ? last.before + 1 : 0;
    lastPasses.set(learn.model, { place, before });
    for (const generator of generators) {
      const stream = new Generator();
      stream.state = generator.state;
      for (let i = 0; i < before; i++) stream.fork();
      this.#states(learn).set(generator, stream.fork().state);
    }
  }
}
