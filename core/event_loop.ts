/** Keeps long work from holding up the rest of the program. */

/** Longest time without a turn of the event loop. */
const MAX_MS_WITHOUT_TURN = 50;
let last = 0;
let pace: (() => Promise<void>) | null = null;

/** Sets what a loop waits for besides at each turn: a device that is to catch up. */
export function setPace(wait: (() => Promise<void>) | null): void {
  pace = wait;
}

/**
 * Lets timers, signals and I/O have their turn if they have waited for 50 ms: WASM kernels never wait by themselves,
 * so that a loop over them would otherwise be deaf until it ends.
 */
export async function breathe(): Promise<void> {
  await pace?.();
  if (performance.now() - last < MAX_MS_WITHOUT_TURN) return;
  await new Promise((resolve) => setTimeout(resolve, 0));
  last = performance.now();
}
