/** HooksCallback. */
import { Callback, type Learner, type Module } from "../core/mod.ts";

/**
 * Called with a module that is looked at, its path, and what went in and came out, within the fit's `predict`: tensors live
 * until the batch ends, and what it makes of them is freed unless it is kept (`tf.keep`).
 */
export type HookFunc = (seen: {
  module: Module;
  name: string;
  // deno-lint-ignore no-explicit-any
  inputs: any[];
  // deno-lint-ignore no-explicit-any
  output: any;
  learn: Learner;
}) => void;

/** Options of {@link HooksCallback}. */
export interface HooksOptions {
  /** Which modules; default those that hold no others. */
  modFilter?: (module: Module, name: string) => boolean;
  /** Whether in training; default true. */
  onTrain?: boolean;
  /** Whether in evaluation; default false. */
  onValid?: boolean;
}

/**
 * Calls a function after the forward of chosen modules, for the time of a fit. Source: miniai 10_activations.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   HooksCallback,
 *   HostArray,
 *   Linear,
 *   ReLU,
 *   Sequential,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const shapes: string[] = [];
 * const hooks = new HooksCallback(({ name, output }) => shapes.push(`${name}: ${output.shape}`), {
 *   modFilter: (m) => m instanceof Linear,
 * });
 * const model = new Sequential(new Linear(1, 3), new ReLU(), new Linear(3, 1));
 * await new TrainLearner(model, dls, { cbs: [new DeviceCB(), hooks] }).fit(1);
 * assert(shapes.join("; ") === "0: 2,3; 2: 2,1; 0: 2,3; 2: 2,1");
 * ```
 */
export class HooksCallback extends Callback {
  /** The modules looked at in the current or last fit, with their paths. */
  modules: [name: string, module: Module][] = [];
  readonly #hook: HookFunc;
  readonly #options: Required<HooksOptions>;

  /**
   * Looks at modules.
   * @param hookFunc called after each forward of a module that is looked at
   */
  constructor(
    hookFunc: HookFunc,
    { modFilter = (m) => m.children().length === 0, onTrain = true, onValid = false }: HooksOptions = {},
  ) {
    super();
    this.#hook = hookFunc;
    this.#options = { modFilter, onTrain, onValid };
  }

  /** Hooks are there while this fit predicts, so that no other use of the model meets them. */
  override beforeFit(learn: Learner): void {
    const { modFilter, onTrain, onValid } = this.#options;
    const modules = [...learn.model.namedModules()].filter(([name, m]) => modFilter(m, name));
    this.modules = modules;
    learn.current.wrap("predict", (predict) => () => {
      if (!(learn.training ? onTrain : onValid)) return predict();
      const undo = modules.map(([name, m]) =>
        m.registerForwardHook((module, inputs, output) => {
          this.#hook({ module, name, inputs, output, learn });
        })
      );
      try {
        return predict();
      } finally {
        undo.forEach((f) => f());
      }
    });
  }

  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }
}
