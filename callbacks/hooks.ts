/** HooksCallback, ActivationStats and `learn.summary()`. */
import {
  Callback,
  HostArray,
  imageGrid,
  Learner,
  linePlot,
  type Module,
  type Picture,
  Tensor,
  tf,
} from "../core/mod.ts";
import { SingleBatchCB } from "./single_batch.ts";

/** Called with a module that is looked at, its path, and what went in and came out. */
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
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
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
  #undo: (() => void)[] = [];
  readonly #hook: HookFunc;
  readonly #options: Required<HooksOptions>;

  constructor(
    hookFunc: HookFunc,
    { modFilter = (m) => m.children().length === 0, onTrain = true, onValid = false }: HooksOptions = {},
  ) {
    super();
    this.#hook = hookFunc;
    this.#options = { modFilter, onTrain, onValid };
  }

  beforeFit(learn: Learner): void {
    const { modFilter, onTrain, onValid } = this.#options;
    this.modules = [...learn.model.namedModules()].filter(([name, m]) => modFilter(m, name));
    this.#undo = this.modules.map(([name, m]) =>
      m.registerForwardHook((module, inputs, output) => {
        if (learn.training ? onTrain : onValid) this.#hook({ module, name, inputs, output, learn });
      })
    );
  }

  cleanupFit(): void {
    this.#undo.splice(0).forEach((undo) => undo());
  }
}

/** What {@link ActivationStats} knows of a module, a number a batch. */
export interface ModuleStats {
  means: number[];
  stds: number[];
  /** For each batch, how many |activations| fall in each of 40 bins from 0 to 10; larger ones into the last. */
  histograms: Uint32Array[];
}

const BINS = 40, TOP = 10;

/**
 * Mean, standard deviation and histogram of the activations of chosen modules. Source: miniai 10_activations.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ActivationStats,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   ReLU,
 *   Sequential,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const stats = new ActivationStats({ modFilter: (m) => m instanceof ReLU });
 * const model = new Sequential(new Linear(1, 3), new ReLU(), new Linear(3, 1));
 * await new TrainLearner(model, dls, { cbs: [new DeviceCB(), stats] }).fit(2);
 * assert(stats.stats.get("1")!.means.length === 4); // a number a batch
 * assert(stats.colorDim().width > 4); // a picture: save encodePng of it
 * ```
 */
export class ActivationStats extends HooksCallback {
  /** By the path of the module. */
  readonly stats: Map<string, ModuleStats> = new Map();
  #waiting: [string, Tensor][];

  constructor(options: HooksOptions = {}) {
    const waiting: [string, Tensor][] = [];
    super(({ name, output }) => {
      if (output instanceof Tensor) waiting.push([name, tf.keep(tf.clone(output))]);
    }, options);
    this.#waiting = waiting;
  }

  async afterBatch(): Promise<void> {
    for (const [name, x] of this.#waiting.splice(0)) {
      const data = await x.data();
      x.dispose();
      let mean = 0, square = 0;
      const histogram = new Uint32Array(BINS);
      for (const v of data) {
        mean += v;
        square += v * v;
        histogram[Math.min(BINS - 1, Math.floor(Math.abs(v) * BINS / TOP))]++;
      }
      mean /= data.length;
      if (!this.stats.has(name)) this.stats.set(name, { means: [], stds: [], histograms: [] });
      const stats = this.stats.get(name)!;
      stats.means.push(mean);
      stats.stds.push(Math.sqrt(Math.max(0, square / data.length - mean * mean)));
      stats.histograms.push(histogram);
    }
  }

  override cleanupFit(): void {
    super.cleanupFit();
    this.#waiting.splice(0).forEach(([, x]) => x.dispose());
  }

  /** log(1 + count) of every bin (rows, the lowest at the bottom) over the batches (columns), a picture a module. */
  colorDim(scale = 2): Picture {
    const all = [...this.stats.values()], batches = Math.max(0, ...all.map((s) => s.histograms.length));
    if (batches === 0) throw new Error("There are no activations yet: fit with this callback first");
    const data = new Float32Array(all.length * BINS * batches);
    let highest = 0;
    all.forEach(({ histograms }, m) =>
      histograms.forEach((h, b) =>
        h.forEach((count, bin) => {
          const v = Math.log1p(count);
          highest = Math.max(highest, v);
          data[(m * BINS + BINS - 1 - bin) * batches + b] = v;
        })
      )
    );
    return imageGrid(new HostArray(data, [all.length, BINS, batches, 1]), {
      scale,
      range: [0, highest || 1],
    });
  }

  /** The share of activations in the lowest bin over the batches, as SVG. */
  deadChart(): Promise<string> {
    const share = (h: Uint32Array) => h[0] / h.reduce((a, b) => a + b, 0);
    return this.#lines((s) => s.histograms.map(share), "share of |activations| under 0.25");
  }

  /** Means and standard deviations over the batches, as SVG each. */
  async plotStats(): Promise<{ means: string; stds: string }> {
    return {
      means: await this.#lines((s) => s.means, "mean"),
      stds: await this.#lines((s) => s.stds, "standard deviation"),
    };
  }

  #lines(values: (stats: ModuleStats) => number[], y: string): Promise<string> {
    const series = Object.fromEntries(
      [...this.stats].map(([name, s]) => [name || "model", values(s).map((y, x) => ({ x, y }))]),
    );
    return linePlot({ series, x: "batch", y });
  }
}

/** A part of a model, as `learn.summary` tells it. */
export interface SummaryRow {
  module: string;
  input: number[];
  output: number[];
  parameters: number;
  /** As miniai counts: filters by the area of the part's output, everything else once; millions. */
  mflop: number;
}

declare module "../core/learner/learner.ts" {
  interface Learner {
    /**
     * Prints each direct part of the model with its shapes, parameters and MFLOP for one batch, and returns the rows.
     * @param log takes the lines; default `console.log`
     */
    summary(log?: (line: string) => void): Promise<SummaryRow[]>;
  }
}

Learner.prototype.summary = async function (log: (line: string) => void = console.log) {
  const rows: SummaryRow[] = [];
  const parts = new Set(this.model.children().map(([, m]) => m));
  const shape = (x: unknown): number[] => (Array.isArray(x) ? shape(x[0]) : (x as Tensor).shape);
  const hooks = new HooksCallback(({ module, inputs, output }) => {
    const out = shape(output), area = out.length === 4 ? out[1] * out[2] : 1;
    const flops = module.parameters().reduce((sum, p) => sum + p.size * (p.shape.length === 4 ? area : 1), 0);
    rows.push({
      module: module.constructor.name,
      input: shape(inputs[0]),
      output: out,
      parameters: module.parameterCount(),
      mflop: flops / 1e6,
    });
  }, { modFilter: (m) => parts.has(m), onValid: true });
  await this.fit(1, { train: false, cbs: [hooks, new SingleBatchCB()] });
  this.releaseKept();
  const total = (of: (row: SummaryRow) => number) => rows.reduce((sum, row) => sum + of(row), 0);
  const line = (cells: string[]) => log(cells.map((c, i) => i ? c.padStart(18) : c.padEnd(18)).join(""));
  line(["module", "input", "output", "parameters", "MFLOP"]);
  for (const r of rows) {
    line([
      r.module,
      r.input.join("×"),
      r.output.join("×"),
      r.parameters.toLocaleString("en"),
      r.mflop.toFixed(1),
    ]);
  }
  line(["total", "", "", total((r) => r.parameters).toLocaleString("en"), total((r) => r.mflop).toFixed(1)]);
  return rows;
};
