/** What the tasks share: options, errors, exit codes. */
import { Command, CommanderError, InvalidArgumentError, Option } from "npm:commander@15.1.0";
import { fromCaller, inProject } from "./caller.ts";
import { exitCode, listenForStop } from "./stop.ts";

export { Command, InvalidArgumentError, Option };

/** Exit codes: success, failure, wrong use; a task that is told to stop has its signal's (`stop.ts`). */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** A problem that the user can mend: shown without a stack. */
export class UserError extends Error {}

/** A {@link UserError} of the command line itself, or of the environment: a value that cannot be. */
export class UsageError extends UserError {}

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

/** A parser of comma-separated names, each one of those known. */
export function names<Name extends string>(known: readonly Name[]): (text: string) => Name[] {
  return (text) => {
    const list = text.split(",") as Name[], wrong = list.find((name) => !known.includes(name));
    if (wrong === undefined) return list;
    throw new InvalidArgumentError(`"${wrong}" is none of ${known.join(", ")}.`);
  };
}

/** A parser of comma-separated yes and no. */
export function levels(text: string): boolean[] {
  const words = text.split(",");
  if (words.every((word) => ["yes", "no"].includes(word))) return words.map((word) => word === "yes");
  throw new InvalidArgumentError("It must be yes or no for each level, such as no,yes,yes,yes.");
}

/** A parser of comma-separated lengths of averages. */
export function averageLengths(text: string): number[] {
  const list = text.split(",").map(Number);
  if (text.trim() !== "" && list.every((length) => length > 0 && length < 0.2886)) return list;
  throw new InvalidArgumentError("It must be numbers between 0 and 0.2886 with commas, such as 0.05,0.1.");
}

/** A parser of a range of two numbers. */
export function range(text: string): [low: number, high: number] {
  const [low, high, more] = text.split(",").map((part) => part.trim() === "" ? NaN : Number(part));
  if (more === undefined && low >= 0 && low < high) return [low, high];
  throw new InvalidArgumentError(
    "It must be two numbers with a comma, the first below the second, such as 0.2,5.",
  );
}

/** A parser of paths. */
export function path(text: string): string {
  if (text !== "" && !text.includes("\0")) return text;
  throw new InvalidArgumentError("It must be a path.");
}

/** A parser of names of runs, each of which is that of a directory. */
export function runName(text: string): string {
  if (/^\w[\w.-]{0,99}$/.test(text)) return text;
  throw new InvalidArgumentError(
    'It must be a name, not a path: a letter, a digit or "_", then up to 99 of these, "." and "-".',
  );
}

/** Seeds that a generator takes. */
export const MAX_SEED: number = Number.MAX_SAFE_INTEGER;

/** The option of a variance of sampling. */
export function varianceOption(whose: string): Option {
  return new Option("--variance <name>", `variance of the noise that sampling adds (default: ${whose})`)
    .choices(["fixed_large", "fixed_small"]);
}

/** A command whose wrong use ends with the exit code for it. */
export function command(task: string, description: string): Command {
  return new Command(`deno task ${task}`)
    .description(description)
    .exitOverride()
    .showHelpAfterError("(--help tells the options)");
}

/** A child process ends by the same Ctrl-C, which is no failure once its signal has come here too. */
const SIGNAL_MS = 50;

/**
 * The options that a task is called with; a path in `paths` is meant from where the caller stands, its default in the project.
 * An environment variable that is empty counts as one that is not there.
 */
export function parse<O extends object>(
  command: Command,
  args: string[],
  paths: (keyof O & string)[] = [],
): O {
  if (args.some((arg) => arg === "--help" || arg === "-h")) command.help();
  for (const { envVar } of command.options) {
    if (envVar && Deno.env.get(envVar) === "") Deno.env.delete(envVar);
  }
  command.parse(args, { from: "user" });
  for (const name of paths) {
    const source = command.getOptionValueSource(name), value = command.getOptionValue(name);
    if (value === undefined) continue;
    command.setOptionValueWithSource(name, (source === "cli" ? fromCaller : inProject)(value), source);
  }
  return command.opts() as O;
}

/** What a task does with its arguments; it gives its exit code, 0 if none. */
export type Task = (args: string[]) => Promise<number | void>;

/** Runs a task, says what went wrong, and gives its exit code. */
export async function exitCodeOf(task: Task, args: string[]): Promise<number> {
  try {
    return await task(args) ?? exitCode();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    await new Promise((resolve) => setTimeout(resolve, SIGNAL_MS));
    const message = error instanceof Error ? error.message : String(error);
    console.error(`error: ${message}`);
    if (!(error instanceof UserError) && Deno.env.get("DENOISE_DEBUG")) console.error(error);
    return error instanceof UsageError ? EXIT.usage : EXIT.failure;
  }
}

/** Runs a task as the program's own, and exits with its code. */
export async function main(task: Task): Promise<never> {
  listenForStop();
  Deno.exit(await exitCodeOf(task, Deno.args));
}
