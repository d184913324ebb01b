/** Timing by the clock. */

/** The middle of some numbers. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Median time of a run in ms: one to warm up, then at least three and at least `ms` milliseconds of them. */
export async function measure(run: () => void | Promise<void>, ms: number): Promise<number> {
  await run();
  const times: number[] = [];
  const until = performance.now() + ms;
  while (performance.now() < until || times.length < 3) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return median(times);
}
