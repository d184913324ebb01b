/** CheckpointCB. */
import {
  Callback,
  CancelFitException,
  copyOf,
  defaultGenerator,
  type Json,
  type Learner,
  perFit,
  sweepTemporaryFiles,
  tf,
} from "../core/mod.ts";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "./checkpoint_file.ts";
import { ORDER } from "./order.ts";

/** Options of {@link CheckpointCB}. */
export interface CheckpointOptions {
  /** The file; it is replaced as a whole. */
  path: string;
  /** Training batches between saves inside an epoch, a positive whole number; default none. Each epoch's end is always saved. */
  everyBatches?: number;
  /** Whether the first fit goes on from the file; default false. */
  resume?: boolean;
}

/**
 * Saves everything a fit needs to go on — model, optimiser, gradients between batches, random generators, place in the data, and what other
 * callbacks ask to keep — and goes on from it, so that a stopped and resumed run gives the same numbers as an unbroken
 * one. Callbacks' states are kept by `stateName`; a fit that resumes has callbacks of the same names.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   CheckpointCB,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const path = await Deno.makeTempFile({ suffix: ".safetensors" });
 * const learner = (resume: boolean) => {
 *   const checkpoint = new CheckpointCB({ path, everyBatches: 200, resume });
 *   return new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), checkpoint] });
 * };
 * await learner(false).fit(1);
 * const again = learner(true); // perhaps in another process
 * await again.fit(3); // the second epoch and the third
 * assert(again.epoch === 2);
 * await Deno.remove(path);
 * ```
 */
export class CheckpointCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.checkpointCB;
  /** The options as given. */
  readonly options: CheckpointOptions;
  /** Whether the last fit was ended by {@link stop}. */
  stopped = false;
  readonly #fit = perFit(() => ({
    stopping: false,
    /** What is to be put back when the first pass begins. */
    loaded: null as Pick<Checkpoint, "record" | "callbacks"> | null,
    /** The training loader's state when the pass began. */
    order: null as Json,
  }));
  /** Whether the next fit that trains goes on from the file. */
  #resume: boolean;
  /** The state of the fit that is running. */
  #running: { stopping: boolean } | null = null;

  /**
   * Saves checkpoints.
   * @param options the file, and when it is written and read
   * @throws RangeError unless `everyBatches` is a positive whole number.
   */
  constructor(options: CheckpointOptions) {
    super();
    const { everyBatches } = options;
    if (everyBatches !== undefined && !(Number.isInteger(everyBatches) && everyBatches > 0)) {
      throw new RangeError(`CheckpointCB: everyBatches is a positive whole number, not ${everyBatches}`);
    }
    this.options = options;
    this.#resume = options.resume ?? false;
  }

  /** Ends the running fit after its current batch, once that is saved. */
  stop(): void {
    if (this.#running) this.#running.stopping = true;
  }

  /** Reads the file, where it is to go on from it. */
  override async beforeFit(learn: Learner): Promise<void> {
    this.stopped = false;
    this.#running = this.#fit(learn);
    if (!learn.current.train) return;
    await sweepTemporaryFiles(this.options.path);
    if (!this.#resume) return;
    await this.#load(learn);
    this.#resume = false;
  }

  /** Puts back what other callbacks' `beforeEpoch` has reset, and the generators as they were. */
  override async beforeEpoch(learn: Learner): Promise<void> {
    if (!learn.training) return;
    await this.#putBack(learn);
    this.#fit(learn).order = learn.dls.train.state?.() ?? null;
  }

  /** Where no epoch is left, callbacks still get what they had. */
  override async afterFit(learn: Learner): Promise<void> {
    await this.#putBack(learn);
  }

  /** Nothing is left to stop. */
  override cleanupFit(): void {
    this.#running = null;
  }

  /** Saves where it is time to, and ends the fit where it is to stop. */
  override async afterBatch(learn: Learner): Promise<void> {
    const { everyBatches = Infinity } = this.options, { stopping, order } = this.#fit(learn);
    // The end of the training half is saved already: an evaluation begins anew.
    if (learn.training && (stopping || (learn.iter + 1) % everyBatches === 0)) {
      await this.#save(learn, learn.epoch, learn.iter + 1, order);
    }
    if (!stopping) return;
    this.stopped = true;
    throw new CancelFitException();
  }

  /** Saves the end of the pass. */
  override async afterEpoch(learn: Learner): Promise<void> {
    if (!learn.current.train) return;
    if (learn.training) await this.#save(learn, learn.epoch, learn.iter, this.#fit(learn).order);
    else await this.#save(learn, learn.epoch + 1, 0, learn.dls.train.state?.() ?? null);
  }

  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }

  async #save(learn: Learner, epoch: number, iter: number, order: Json): Promise<void> {
    await writeCheckpoint(this.options.path, learn, { epoch, iter, order, random: defaultGenerator.state });
  }

  async #load(learn: Learner): Promise<void> {
    const { path } = this.options;
    const { record, model, optimizer, gradients, callbacks } = await readCheckpoint(path, learn);
    try {
      await naming(path, () => learn.model.loadStateDict(model));
      await naming(path, () => learn.opt!.loadState({ ...record.optimizer, tensors: optimizer }));
      for (const [name, p] of learn.model.namedParameters()) {
        if (gradients[name]) p.setGrad(copyOf(gradients[name]));
      }
      for (const { cb, tensors } of callbacks) await naming(path, () => cb.loadTensors?.(tensors, learn));
    } finally {
      tf.dispose([model, optimizer, gradients, callbacks.map(({ tensors }) => tensors)]);
    }
    learn.epochs = learn.epochs.filter((e) => e >= record.epoch);
    learn.current.batchesDone = record.iter;
    this.#fit(learn).loaded = { record, callbacks };
  }

  async #putBack(learn: Learner): Promise<void> {
    const fit = this.#fit(learn), { loaded } = fit;
    if (!loaded) return;
    fit.loaded = null;
    const { path } = this.options, { random, order } = loaded.record;
    if (order !== null) await naming(path, () => learn.dls.train.loadState?.(order));
    defaultGenerator.state = random;
    for (const { cb, state } of loaded.callbacks) {
      if (state !== null) await naming(path, () => cb.loadState?.(state, learn));
    }
  }
}

/** Does something with what a file held; an error names the file. */
async function naming(path: string, body: () => unknown): Promise<void> {
  try {
    await body();
  } catch (cause) {
    throw new Error(`${path} does not fit this fit: ${(cause as Error).message}`, { cause });
  }
}
