/** Keeps long work from holding up the rest of the program. */

/** Longest time without a turn of the event loop. */
const MAX_MS_WITHOUT_TURN = 50;
/**
 * Most turns at once. A request takes several, as Deno accepts, reads and replies in turns of their own: measured, six
 * suffice for one without a body and for one of 200 kB.
 */
const MAX_TURNS = 10;
let last = 0;
let pace: (() => Promise<void>) | null = null;

/** Sets what a loop waits for besides at each turn: a device that is to catch up. */
export function setPace(wait: (() => Promise<void>) | null): void {
  pace = wait;
}

/**
 * Lets timers, signals and I/O have their turn if they have waited for 50 ms, and one more for each further 50 ms, up to
 * ten: WASM kernels never wait by themselves, so that a loop over them would otherwise be deaf until it ends. A turn
 * takes about a millisecond.
 */
export async function breathe(): Promise<void> {
  await pace?.();
  const turns = Math.min(Math.floor((performance.now() - last) / MAX_MS_WITHOUT_TURN), MAX_TURNS);
  for (let turn = 0; turn < turns; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    last = performance.now();
  }
}
