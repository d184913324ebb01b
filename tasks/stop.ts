/** Ctrl-C and SIGTERM: what a task does when it is told to stop. */
import { finishWriting } from "../core/mod.ts";

/** Exit codes by signal, as shells have them; Windows has no SIGTERM. */
const CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type StopSignal = keyof typeof CODES;
const SIGNALS: StopSignal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];

/**
 * Signals this close are one press: a terminal signals every process of its foreground group, and `deno task` and npx
 * hand on theirs, so that a task gets two or more.
 */
const ONE_PRESS_MS = 1000;
/** Turns of the event loop in which a signal that came while it was blocked is seen. */
const TURNS = 10, TURN_MS = 20;

/** What is done when the task is told to stop. */
let respond: () => void = () => end(() => "Stopped: nothing was written");
let pressed: StopSignal | null = null;
/** Whether the next signal is a second press. */
let again = false;

/** Listens from now on; a second press ends the process at once. */
export function listenForStop(): void {
  for (const signal of SIGNALS) Deno.addSignalListener(signal, () => press(signal));
}

/** Whether the task has been told to stop. */
export function isStopping(): boolean {
  return pressed !== null;
}

/** The exit code of a task that ends now: 0 unless it has been told to stop. */
export function exitCode(): number {
  return pressed ? CODES[pressed] : 0;
}

/**
 * From here on the task ends at once when it is told to stop, or now if it has been told already; files that are being
 * written become whole first.
 * @param say gives what is said then
 */
export async function endOnStop(say: () => string): Promise<void> {
  respond = () => end(say);
  if (pressed) await end(say);
}

/**
 * From here on the task's work ends by itself when it is told to stop.
 * @param stop tells it to
 */
export function finishOnStop(stop: () => void): void {
  respond = stop;
  if (pressed) stop();
}

/** From here on nothing is left to stop: what has been written is told, and the task ends by itself. */
export function allIsWritten(): void {
  respond = () => {};
}

async function end(say: () => string): Promise<never> {
  await finishWriting();
  console.error(`\n${say()}`);
  Deno.exit(exitCode());
}

async function press(signal: StopSignal): Promise<void> {
  if (again) Deno.exit(CODES[signal]);
  if (pressed) return;
  pressed = signal;
  respond();
  const over = performance.now() + ONE_PRESS_MS;
  for (let turn = 0; turn < TURNS || performance.now() < over; turn++) {
    await new Promise((resolve) => setTimeout(resolve, TURN_MS));
  }
  again = true;
}
