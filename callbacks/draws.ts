/** Where random numbers of a fit come from. */
import {
  branch,
  copyOfGenerator,
  defaultGenerator,
  Generator,
  type GeneratorState,
  type Json,
  type Learner,
  type Module,
  perFit,
} from "../core/mod.ts";

/** The shared generator, and those that a model's modules hold. */
export function generatorsOf(model: Module): Set<Generator> {
  const generators = new Set([defaultGenerator]);
  for (const [, module] of model.namedModules()) {
    for (const x of Object.values(module)) if (x instanceof Generator) generators.add(x);
  }
  return generators;
}

/**
 * Notes where the generators of a model stand.
 * @returns puts them back
 */
export function noteDraws(model: Module): () => void {
  const states = Array.from(generatorsOf(model), (g) => [g, g.state] as const);
  return () => {
    for (const [generator, state] of states) generator.state = state;
  };
}

/** Seed of the draws in evaluation. */
const EVALUATION_SEED = 0;

/**
 * What a callback that noises batches draws from. In training that is a stream of the fit's own, from where the generator
 * that the callback was given stands, so that the fit is the same whatever else draws from it meanwhile; without one it is
 * the shared generator. Every evaluation draws the same, so that its losses are comparable and training is the same
 * without it.
 */
export class BatchDraws {
  readonly #evaluation = perFit(() => new Generator(EVALUATION_SEED));
  readonly #training: (learn: Learner) => { own: Generator; giveBack?: () => void };

  /**
   * Draws from a generator, or the shared one.
   * @param generator goes on where a fit's draws end, unless something else drew from it meanwhile
   */
  constructor(readonly generator?: Generator) {
    this.#training = perFit(({ current }) => {
      if (!generator) return { own: defaultGenerator };
      if (!current) return { own: generator }; // a learner made by hand, outside a fit
      if (current.trial) return { own: copyOfGenerator(generator) };
      const [own, giveBack] = branch(generator);
      return { own, giveBack };
    });
  }

  /** What the batch in hand draws from. */
  of(learn: Learner): Generator {
    return learn.training ? this.#training(learn).own : this.#evaluation(learn);
  }

  /** Begins the draws of evaluation again; for `beforeEpoch`. */
  beginEpoch(learn: Learner): void {
    this.#evaluation(learn).seed = EVALUATION_SEED;
  }

  /** The generator goes on where the fit's draws end; for `cleanupFit`. */
  endFit(learn: Learner): void {
    this.#training(learn).giveBack?.();
  }

  /** Where training's draws stand, for a checkpoint, which has the shared generator's itself: null of that. */
  state(learn: Learner): Json {
    return this.generator ? { ...this.#training(learn).own.state } : null;
  }

  /** Goes on from there. */
  loadState(state: Json, learn: Learner): void {
    if (this.generator && state !== null) {
      this.#training(learn).own.state = state as unknown as GeneratorState;
    }
  }
}
