/** Where random numbers of a fit come from. */
import { defaultGenerator, Generator, type Module } from "../core/mod.ts";

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
