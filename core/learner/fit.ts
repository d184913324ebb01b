/** What belongs to one fit and goes with it. */
import { type Parameter, Tape, untaped } from "../autograd/tape.ts";
import type { Batch, Loader } from "../data/loader.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { copyOfGenerator, drawFrom, type Generator } from "../random.ts";
import { engine, tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { FiniteCheck } from "./finite.ts";
import type { Callback, Done, Json, LearnerPhase } from "./callback.ts";
import type { Learner } from "./learner.ts";
import { tensorsIn } from "./tensors.ts";

/** What does the work of a phase, see {@link Fit.wrap}. */
export type PhaseBody = () => Done;

/** Everything of one fit: made at its start, so that no other fit can meet what it leaves. */
export class Fit {
  /** Epochs asked for. */
  readonly nEpochs: number;
  /** The callbacks that take part, in the order in which they run. */
  readonly cbs: readonly Callback[];
  /** Whether it trains; else it only evaluates. */
  readonly train: boolean;
  /** Whether it only tries something, see `FitOptions.trial`. */
  readonly trial: boolean;
  /** Whether the model is run, see `FitOptions.runModel`. */
  readonly runModel: boolean;
  /** What no other fit may have while this one is running: callbacks that are not shareable, a model and an optimiser that train. */
  readonly uses: readonly object[];
  /** Settled when the fit is over. */
  readonly ended: Promise<void>;
  /** Whether it has begun and is not over. */
  running = false;
  /** Where the recorded operations of the current batch are. */
  readonly tape: Tape = new Tape();
  /** The optimiser; that of the fit before, where this one does not train. */
  opt: Optimizer | null;
  /** The epoch numbers to do; a callback may change them in `beforeFit`. */
  epochs: number[];
  /** The number of the epoch. */
  epoch = 0;
  /** Batches of the first training pass that are done already; set by a callback that resumes. */
  batchesDone = 0;
  /** Whether the current pass trains. */
  training = false;
  /** The current pass's loader. */
  dl!: Loader;
  /** The number of the batch in its pass. */
  iter = 0;
  /** Where the batch is: before its step, at it or after it, or past the clearing of its gradients. */
  stage: "before step" | "step" | "cleared" = "before step";
  /** What the loader gave and callbacks made of it. */
  batch: Batch = [];
  /** What the model gave. */
  // deno-lint-ignore no-explicit-any
  preds: any;
  /** The loss, a scalar. */
  loss!: Tensor;
  /** The gradient of the loss that the backward pass begins with; 1 where there is none. */
  lossGradient: Tensor | undefined;

  readonly #wraps: [phase: LearnerPhase, around: (inner: PhaseBody) => PhaseBody][] = [];
  readonly #end: () => void;
  /** Looks at training losses, unless it is not to. */
  readonly #losses: FiniteCheck | null;
  /** Tensors of the current batch. */
  readonly #owned = new Set<Tensor>();
  /** Tensors with this id or a later one were made in the current pass. */
  #passBegan = Infinity;
  #recording = false;
  #kept: Tensor[] = [];
  /** What the default generator draws from in training. */
  readonly #draws: Generator;
  /** The same in the current pass. */
  #passDraws: Generator;
  /** In a trial, where a loader's orders stand; the loader itself stays where it was. */
  readonly #orders = new Map<Loader, Json>();
  /** Gradients that stood when the batch began; they share the parameters' memory. */
  #held: (Tensor | undefined)[] = [];

  /**
   * Makes a fit that has not begun.
   * @param settings fields that are known at the start, whether a training loss that is not finite ends it, and what
   *   the default generator draws from in it
   */
  constructor(
    settings: Pick<Fit, "nEpochs" | "cbs" | "train" | "trial" | "runModel" | "opt" | "uses"> & {
      finite: boolean;
      draws: Generator;
    },
  ) {
    const { nEpochs, cbs, train, trial, runModel, finite, opt, draws, uses } = settings;
    this.uses = uses;
    this.#draws = this.#passDraws = draws;
    this.nEpochs = nEpochs;
    this.epochs = Array.from({ length: nEpochs }, (_, i) => i);
    this.cbs = cbs;
    this.train = train;
    this.trial = trial;
    this.runModel = runModel;
    this.#losses = finite ? new FiniteCheck() : null;
    this.opt = opt;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
  }

  /**
   * Puts something around a phase until the end of this fit; call it in `beforeFit`. A later call goes around those
   * before it, so that the callback with the highest `order` is the outermost.
   * @param around from the phase as it is to the phase as it is to be
   *
   * @example
   * ```ts
   * import { Callback, type Learner } from "../mod.ts";
   * class EverySecondStep extends Callback {
   *   override beforeFit(learn: Learner) {
   *     learn.current.wrap("step", (inner) => () => learn.iter % 2 ? inner() : undefined);
   *   }
   * }
   * ```
   */
  wrap(phase: LearnerPhase, around: (inner: PhaseBody) => PhaseBody): void {
    this.#wraps.push([phase, around]);
  }

  /** A phase inside everything that was put around it. */
  wrapped(phase: LearnerPhase, body: PhaseBody): PhaseBody {
    return this.#wraps.reduce((inner, [name, around]) => name === phase ? around(inner) : inner, body);
  }

  /** Whether something was put around a phase. */
  wraps(phase: LearnerPhase): boolean {
    return this.#wraps.some(([name]) => name === phase);
  }

  /** Runs the synchronous part of `body` with the tape on. */
  record<T>(body: () => T): T {
    if (this.#recording) return body();
    this.#recording = true;
    this.tape.start();
    try {
      return body();
    } finally {
      this.tape.stop();
      this.#recording = false;
    }
  }

  /**
   * Runs a piece of a batch. Of the tensors that its synchronous part makes, those in `batch`, `preds` and `loss` are
   * freed when the batch ends, others at once; all of them when the batch ends if it returns a promise.
   */
  scoped<T>(body: () => T): T {
    let result!: T;
    const stay = tf.tidy(() => {
      result = this.#recording ? body() : untaped(body); // a tape that others left on does not meet it
      return result instanceof Promise ? [...engine.state.activeScope.track] as Tensor[] : this.#inBatch();
    });
    for (const x of stay) this.#owned.add(x);
    return result;
  }

  /** Takes what is in `batch`, `preds` and `loss` and was made in this pass as the batch's own. */
  adopt(): void {
    for (const x of this.#inBatch()) this.#owned.add(x);
  }

  #inBatch(): Tensor[] {
    return tensorsIn([this.batch, this.preds, this.loss])
      .filter((x) => x.id >= this.#passBegan && !(x instanceof tf.Variable));
  }

  /** Runs `body` as work of this fit: the default generator draws from the fit's own stream. */
  drawing<T>(body: () => T): T {
    return drawFrom(this.#passDraws, body);
  }

  /** Ends what {@link beginDraws} began. */
  endDraws(): void {
    this.#passDraws = this.#draws;
  }

  /** In a pass that evaluates, lets draws begin where training's stand, which go on after it as if there were none. */
  beginDraws(): void {
    if (this.training) return;
    this.#passDraws = copyOfGenerator(this.#draws);
  }

  /** The batches of a pass from `iter` on. A trial draws an order of its own: the loader goes on as if it had not. */
  async *batches(): AsyncGenerator<Batch> {
    const { dl } = this;
    if (!this.trial || !dl.state || !dl.loadState) {
      yield* dl.batches(this.iter);
      return;
    }
    const before = dl.state(), batches = dl.batches(this.iter)[Symbol.asyncIterator]();
    dl.loadState(this.#orders.get(dl) ?? before);
    const first = batches.next(); // draws the order
    this.#orders.set(dl, dl.state());
    dl.loadState(before);
    try {
      for (let next = await first; !next.done; next = await batches.next()) yield next.value;
    } finally {
      await batches.return?.();
    }
  }

  /** Notes the gradients that stand before a batch, for {@link releaseGradients}. */
  holdGradients(parameters: Parameter[]): void {
    this.#held = parameters.map(({ grad }) => grad ? tf.keep(tf.clone(grad)) : undefined);
  }

  /** Forgets what {@link holdGradients} noted, or puts it back where the batch did not come to its step. */
  releaseGradients(parameters: Parameter[]): void {
    for (const [i, grad] of this.#held.entries()) {
      if (this.stage !== "before step") grad?.dispose();
      else if (grad) parameters[i].setGrad(grad);
      else parameters[i].zeroGrad();
    }
    this.#held = [];
  }

  /** Begins a pass: tensors made from here on, by the loader too, belong to the batch that they are in. */
  beginPass(): void {
    this.iter = this.training ? this.batchesDone : 0;
    if (this.training) this.batchesDone = 0;
    this.#passBegan = engine.nextTensorId();
  }

  /** Begins a batch with what the loader gave. */
  beginBatch(batch: Batch): void {
    this.freeBatch();
    this.stage = "before step";
    this.batch = batch;
    this.adopt();
  }

  /** Ends a batch: its tensors are freed, and its loss is looked at while the next one runs. */
  endBatch(): void {
    const { epoch, iter, training } = this;
    if (training) this.#losses?.watch(this.loss, `epoch ${epoch}, training batch ${iter}`);
    this.freeBatch();
    this.iter++;
  }

  /**
   * Ends a pass that was not cancelled.
   * @throws Error where it had no batch, or a loss was not finite.
   */
  async endPass(): Promise<void> {
    const half = this.training ? "train" : "valid";
    if (this.iter === 0) {
      throw new Error(
        `fit: dls.${half} gave no batch. A loader with dropLast needs as many items as a batch has; a stream gives its ` +
          `batches anew at each call; { ${half}: false } leaves the pass out`,
      );
    }
    await this.lossesRead();
    this.checkLosses();
  }

  /**
   * Ends the fit where it is to.
   * @throws Error where a training loss that has been read was not finite.
   */
  checkLosses(): void {
    this.#losses?.check();
  }

  /** Waits until no loss is being read. */
  async lossesRead(): Promise<void> {
    await this.#losses?.settled();
  }

  /** Frees what belongs to the batch and was not kept. */
  freeBatch(): void {
    this.tape.clear();
    for (const x of this.#owned) if (!x.kept) x.dispose();
    this.#owned.clear();
  }

  /** Lets tensors outlive their batch, until the next call or {@link freeKept}. */
  keep(tensors: Tensor[]): void {
    this.freeKept();
    this.#kept = tensors.map((t) => tf.keep(t));
  }

  /** Frees what {@link keep} holds. */
  freeKept(): void {
    tf.dispose(this.#kept);
    this.#kept = [];
  }

  /** Marks the fit as over. */
  end(): void {
    this.freeBatch();
    this.running = false;
    this.#end();
  }
}

/**
 * A state of one fit, made anew when a fit first asks for it. Where no fit has run, as with a callback's method that is
 * called by hand, it is the learner's.
 *
 * @example
 * ```ts
 * import { Callback, type Learner, perFit } from "../mod.ts";
 * class CountBatches extends Callback {
 *   readonly #batches = perFit(() => ({ seen: 0 }));
 *   override afterBatch(learn: Learner) {
 *     this.#batches(learn).seen++;
 *   }
 * }
 * ```
 */
export function perFit<S>(make: (learn: Learner) => S): (learn: Learner) => S {
  const states = new WeakMap<Fit | Learner, S>();
  return (learn) => {
    const owner = learn.current ?? learn;
    if (!states.has(owner)) states.set(owner, make(learn));
    return states.get(owner)!;
  };
}
