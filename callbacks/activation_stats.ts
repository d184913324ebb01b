/** ActivationStats. */
import {
  HostArray,
  imageGrid,
  type Learner,
  linePlot,
  noGrad,
  perFit,
  type Picture,
  Tensor,
  tf,
} from "../core/mod.ts";
import { HooksCallback, type HooksOptions } from "./hooks.ts";

/** What {@link ActivationStats} knows of a module, a number a batch. */
export interface ModuleStats {
  /** Mean of the activations. */
  means: number[];
  /** Their standard deviation. */
  stds: number[];
  /** For each batch, how many |activations| fall in each of 40 bins from 0 to 10; larger ones into the last. */
  histograms: Uint32Array[];
}

const BINS = 40, TOP = 10;

/**
 * Mean, standard deviation and histogram of the activations of chosen modules, of each batch that is not cancelled; a fit
 * goes on after those of the one before. It waits for each batch's activations, which costs time on a GPU. Source: miniai 10_activations.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ActivationStats,
 *   ArrayDataset,
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
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
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
  /** Outputs of the batch that are not read yet. */
  readonly #waiting: (learn: Learner) => [name: string, output: Tensor][];

  /** Looks at modules as the options say; default at those that hold no others, in training. */
  constructor(options: HooksOptions = {}) {
    const waiting = perFit((): [string, Tensor][] => []);
    super(({ name, output, learn }) => {
      if (output instanceof Tensor) waiting(learn).push([name, tf.keep(noGrad(() => tf.clone(output)))]);
    }, options);
    this.#waiting = waiting;
  }

  /** Reads the outputs of the batch and adds their numbers. */
  override async afterBatch(learn: Learner): Promise<void> {
    for (const [name, x] of this.#waiting(learn).splice(0)) {
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

  /** Frees outputs that were not read, where the batch ended early. */
  override cleanupBatch(learn: Learner): void {
    this.#waiting(learn).splice(0).forEach(([, x]) => x.dispose());
  }

  /**
   * log(1 + count) of every bin (rows, the lowest at the bottom) over the batches (columns), a picture a module.
   * @param scale pixels of a count along each side, a whole number of at least 1; default 2
   * @throws Error where nothing was recorded yet.
   */
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
