/** The midpoint method. */
import { levelOf, type Process } from "../process.ts";
import type { Sampler } from "../sampling.ts";
import { type Along, coordinates, follow } from "./coordinates.ts";

/** Options of {@link midpoint}. */
export interface MidpointOptions {
  /** What it steps along; default `flow`. */
  along?: Along;
}

/**
 * The midpoint method of second order: the slope halfway along an Euler step takes the whole step. It evaluates the
 * network twice a step.
 * @param process of the network, which says what the network is told halfway
 * @throws RangeError for other coordinates.
 */
export function midpoint(process: Process, { along = "flow" }: MidpointOptions = {}): Sampler {
  const c = coordinates("midpoint", along);
  return ({ x, at, to, denoise }) => {
    const x̂0 = denoise(x, at), d = c.slope(x, x̂0, at);
    const own = levelOf(process, c.ratio((c.time(at) + c.time(to)) / 2));
    const half = follow(x, d, at, own, c);
    return { x: follow(x, c.slope(half, denoise(half, own), own), at, to, c), x̂0 };
  };
}
