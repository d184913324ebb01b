/** Progress bars on stderr, so that a program's output stays clean. */

/** Absent in a browser, which has neither the terminal nor what the library needs of Node. */
const cliProgress = "Deno" in globalThis ? (await import("npm:cli-progress@3.12.0")).default : undefined;

/** A bar that counts up. */
export interface ProgressBar {
  /** Sets how many are done, and what to say beside it. */
  update(done: number, note?: string): void;
  /** Takes the bar off the terminal. May be called twice. */
  stop(): void;
}

/** On a pipe or a file, a line this often. */
const LINE_EVERY_MS = 30_000;

/**
 * Starts a bar with the time left. On a terminal it is one line that goes away; on a pipe or in a file it is a line of
 * text each half minute; in a browser nothing.
 * @param title what is counted
 * @param total how many there will be; where that is unknown, they are counted alone
 *
 * @example
 * ```ts
 * import { progressBar } from "./progress.ts";
 * const bar = progressBar("sampling", 10);
 * for (let i = 1; i <= 10; i++) bar.update(i);
 * bar.stop();
 * ```
 */
export function progressBar(title: string, total?: number): ProgressBar {
  if (!cliProgress) return { update() {}, stop() {} };
  const drawn = Deno.stderr.isTerminal() ? "{bar} " : "";
  const bar = new cliProgress.SingleBar({
    format: total === undefined
      ? `${title} {value}  {note}`
      : `${title} ${drawn}{value}/{total}, {eta_formatted} left  {note}`,
    clearOnComplete: true,
    hideCursor: null,
    noTTYOutput: true,
    notTTYSchedule: LINE_EVERY_MS,
    barsize: 24,
    etaBuffer: 50,
    linewrap: true,
  }, cliProgress.Presets.shades_classic);
  bar.start(total ?? 0, 0, { note: "" });
  let running = true;
  return {
    update: (done, note) => running && bar.update(done, note === undefined ? {} : { note }),
    stop: () => {
      if (running) bar.stop();
      running = false;
    },
  };
}
