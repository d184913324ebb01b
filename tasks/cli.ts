/** What the tasks share: options, errors, exit codes. */
import { Command, CommanderError, InvalidArgumentError, Option } from "npm:commander@15.1.0";
import type { DeviceChoice } from "../mod.ts";
import { exitCode, listenForStop } from "./stop.ts";

export { Command, InvalidArgumentError, Option };

/** Exit codes: success, failure, wrong use; a task that is told to stop has its signal's (`stop.ts`). */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** A problem that the user can mend: shown without a stack. */
export class UserError extends Error {}

/** A parser of numbers within bounds. */
export function number(low: number, high: number, whole = false): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (text.trim() === "" || !(n >= low && n <= high) || (whole && !Number.isInteger(n))) {
      const kind = whole ? "a whole number" : "a number";
      throw new InvalidArgumentError(`It must be ${kind} from ${low} to ${high}.`);
    }
    return n;
  };
}

/** A parser of whole numbers within bounds. */
export function whole(low: number, high: number): (text: string) => number {
  return number(low, high, true);
}

/** A parser of comma-separated positive whole numbers. */
export function numbers(text: string): number[] {
  const list = text.split(",").map(Number);
  if (list.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new InvalidArgumentError("It must be positive whole numbers with commas, such as 16,32,64,64.");
  }
  return list;
}

/** Seeds that a generator takes. */
export const MAX_SEED: number = Number.MAX_SAFE_INTEGER;

/** The option of a variance of sampling. */
export function varianceOption(whose: string): Option {
  return new Option("--variance <name>", `variance of the noise that sampling adds (default: ${whose})`)
    .choices(["fixed_large", "fixed_small"]);
}

/** What {@link withCommonOptions} adds, as parsed. */
export interface CommonOptions {
  device?: DeviceChoice;
  runs: string;
}

/** Adds the options that every task has. */
export function withCommonOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--device <name>", "auto, webgpu or wasm (default: DENOISE_DEVICE, else auto)")
        .choices(["auto", "webgpu", "wasm"]),
    )
    .option("--runs <dir>", "where runs are kept", "runs")
    .exitOverride()
    .showHelpAfterError("(--help tells the options)");
}

/** A child process ends by the same Ctrl-C, which is no failure once its signal has come here too. */
const SIGNAL_MS = 50;

/** Runs a task's body and exits with the code that tells how it went. */
export async function main(body: () => Promise<number | void>): Promise<never> {
  listenForStop();
  try {
    Deno.exit(await body() ?? exitCode());
  } catch (error) {
    if (error instanceof CommanderError) Deno.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage);
    await new Promise((resolve) => setTimeout(resolve, SIGNAL_MS));
    const message = error instanceof Error ? error.message : String(error);
    console.error(`error: ${message}`);
    if (!(error instanceof UserError) && Deno.env.get("DENOISE_DEBUG")) console.error(error);
    Deno.exit(EXIT.failure);
  }
}
