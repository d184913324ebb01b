/** Where random numbers of a fit come from. */
import { defaultGenerator, Generator, type Learner, type Module } from "../core/mod.ts";

/** The shared generator, and those that a model's modules hold. */
export function generatorsOf(model: Module): Set<Generator> {
  const generators = new Set([defaultGenerator]);
  for (const [, module] of model.namedModules()) {
    for (const x of Object.values(module)) if (x instanceof Generator) generators.add(x);
  }
  return generators;
}

/**
 * Notes where the training loader and the generators of a fit stand.
 * @returns puts them back
 */
export function noteDraws({ dls, model }: Learner): () => void {
  const order = dls.train.state?.();
  const states = Array.from(generatorsOf(model), (g) => [g, g.state] as const);
  return () => {
    if (order !== undefined) dls.train.loadState?.(order);
    for (const [generator, state] of states) generator.state = state;
  };
}
