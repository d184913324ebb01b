/** CheckpointCB. */
import {
  Callback,
  CancelFitException,
  decodeSafetensors,
  defaultGenerator,
  encodeSafetensors,
  fromTorch,
  type GeneratorState,
  HostArray,
  type Json,
  type Learner,
  methodsOf,
  type OptimizerState,
  type Tensor,
  tf,
  toTorch,
  writeFile,
} from "../core/mod.ts";

/** Options of {@link CheckpointCB}. */
export interface CheckpointOptions {
  /** The file; it is replaced as a whole. */
  path: string;
  /** Training batches between saves inside an epoch; default none. Each epoch's end is always saved. */
  everyBatches?: number;
  /** Whether to go on from the file, if it is there; default false. */
  resume?: boolean;
}

/** All of a checkpoint that is not a tensor. */
interface Record_ {
  epoch: number;
  iter: number;
  random: GeneratorState;
  order: Json;
  optimizer: Omit<OptimizerState, "tensors">;
  callbacks: Json[];
}

const MODEL = "model.", OPTIMIZER = "optimizer.", CALLBACK = "callback.", KEY = "denoise.checkpoint";

/**
 * Saves everything a fit needs to go on — model, optimiser, random generators, place in the data, and what other
 * callbacks ask to keep — and goes on from it, so that a stopped and resumed run gives the same numbers as an unbroken
 * one. The callbacks must be given in the same order both times.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   CheckpointCB,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
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
  override order = 100;
  /** Whether the fit was ended by {@link stop}. */
  stopped = false;
  #stopping = false;
  #loaded: Record_ | null = null;
  #orderState!: Json;

  constructor(readonly options: CheckpointOptions) {
    super();
  }

  /** Ends the fit after the current batch, once it is saved. */
  stop(): void {
    this.#stopping = true;
  }

  async beforeFit(learn: Learner): Promise<void> {
    if (this.options.resume) await this.#load(learn);
  }

  /** Puts back what other callbacks' `beforeEpoch` has reset, and the generators as they were. */
  async beforeEpoch(learn: Learner): Promise<void> {
    if (!learn.training) return;
    await this.#putBack(learn);
    this.#orderState = learn.dls.train.state?.() ?? null;
  }

  /** Where no epoch is left, callbacks still get what they had. */
  async afterFit(learn: Learner): Promise<void> {
    await this.#putBack(learn);
  }

  async #putBack(learn: Learner): Promise<void> {
    const saved = this.#loaded;
    if (!saved) return;
    this.#loaded = null;
    if (saved.order !== null) learn.dls.train.loadState?.(saved.order);
    defaultGenerator.state = saved.random;
    for (const [i, cb] of this.#others(learn).entries()) {
      if (saved.callbacks[i] !== null) await methodsOf(cb).loadState?.(saved.callbacks[i], learn);
    }
  }

  async afterBatch(learn: Learner): Promise<void> {
    const every = this.options.everyBatches ?? Infinity;
    // The end of the training half is saved already: an evaluation begins anew.
    if (learn.training && (this.#stopping || (learn.iter + 1) % every === 0)) {
      await this.#save(learn, learn.epoch, learn.iter + 1, this.#orderState);
    }
    if (!this.#stopping) return;
    this.stopped = true;
    throw new CancelFitException();
  }

  async afterEpoch(learn: Learner): Promise<void> {
    if (learn.training) await this.#save(learn, learn.epoch, learn.iter, this.#orderState);
    else await this.#save(learn, learn.epoch + 1, 0, learn.dls.train.state?.() ?? null);
  }

  #others(learn: Learner): Callback[] {
    return learn.cbs.filter((cb) => cb !== this && methodsOf(cb).state);
  }

  /** The callbacks that keep tensors, each with the beginning of their names in the file. */
  #holders(learn: Learner): [prefix: string, cb: Callback][] {
    return learn.cbs.filter((cb) => methodsOf(cb).stateTensors).map((cb, i) => [`${CALLBACK}${i}.`, cb]);
  }

  async #save(learn: Learner, epoch: number, iter: number, order: Json): Promise<void> {
    const { tensors, ...optimizer } = learn.opt!.state();
    const kept: Record<string, Tensor> = {};
    const keep = (prefix: string, tensors: Record<string, Tensor>) => {
      for (const [name, x] of Object.entries(tensors)) kept[prefix + name] = x;
    };
    keep(OPTIMIZER, tensors);
    for (const [prefix, cb] of this.#holders(learn)) keep(prefix, methodsOf(cb).stateTensors!(learn));
    const [model, rest] = await Promise.all([toTorch(learn.model.stateDict()), HostArray.fromAll(kept)]);
    const arrays: Record<string, HostArray> = {};
    for (const [name, x] of Object.entries(model)) arrays[MODEL + name] = x;
    Object.assign(arrays, rest);
    const callbacks: Json[] = [];
    for (const cb of this.#others(learn)) callbacks.push(await methodsOf(cb).state!(learn));
    const record: Record_ = {
      ...{ epoch, iter, order, optimizer, callbacks },
      random: defaultGenerator.state,
    };
    await writeFile(
      this.options.path,
      encodeSafetensors(arrays, { [KEY]: JSON.stringify(record) }),
    );
  }

  async #load(learn: Learner): Promise<void> {
    const { path } = this.options;
    const bytes = await Deno.readFile(path).catch((cause) => {
      throw new Error(`There is no checkpoint to resume from at ${path}`, { cause });
    });
    const { tensors, metadata } = decodeSafetensors(bytes);
    if (!metadata[KEY]) throw new Error(`${path} is no checkpoint of a fit`);
    const record: Record_ = JSON.parse(metadata[KEY]);
    const named = (prefix: string) =>
      Object.fromEntries(
        Object.entries(tensors).filter(([k]) => k.startsWith(prefix))
          .map(([k, v]) => [k.slice(prefix.length), v]),
      );
    const state = fromTorch(named(MODEL));
    const tensorsOf = (prefix: string) =>
      Object.fromEntries(Object.entries(named(prefix)).map(([k, v]) => [k, v.toTensor()]));
    const moments = tensorsOf(OPTIMIZER);
    const held = this.#holders(learn).map(([prefix, cb]) => [cb, tensorsOf(prefix)] as const);
    try {
      learn.model.loadStateDict(state);
      learn.opt!.loadState({ ...record.optimizer, tensors: moments });
      for (const [cb, tensors] of held) methodsOf(cb).loadTensors!(tensors, learn);
    } finally {
      tf.dispose([state, moments, ...held.map(([, tensors]) => tensors)]);
    }
    learn.epochs = learn.epochs.filter((e) => e >= record.epoch);
    learn.skip = record.iter;
    this.#loaded = record;
  }
}
