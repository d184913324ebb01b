/** The directory of a run, and what is in it. */
import { writeFile } from "../core/mod.ts";
import { UsageError, UserError } from "./cli.ts";
import type { RunConfig } from "./presets.ts";
import { parseConfig, parseMetrics } from "./schemas.ts";

/** Paths of a run's files. */
export interface RunFiles {
  dir: string;
  /** Locked by the process that trains. */
  lock: string;
  config: string;
  weights: string;
  checkpoint: string;
  metrics: string;
  lossPlot: string;
  samples: string;
  animation: string;
  /** The last file of a classifier's report. */
  report: string;
}

/** The paths of a run's files, which need not be there. */
export function runFiles(runs: string, name: string): RunFiles {
  const dir = `${runs}/${name}`;
  return {
    dir,
    lock: `${dir}/.lock`,
    config: `${dir}/config.json`,
    weights: `${dir}/model.safetensors`,
    checkpoint: `${dir}/checkpoint.safetensors`,
    metrics: `${dir}/metrics.jsonl`,
    lossPlot: `${dir}/loss.svg`,
    samples: `${dir}/samples.png`,
    animation: `${dir}/samples.gif`,
    report: `${dir}/report.md`,
  };
}

/** The names of a task's finished or begun runs, newest first. */
export async function listRuns(runs: string, task: RunConfig["task"]): Promise<string[]> {
  const found: { name: string; time: number }[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(runs)) {
      if (!isDirectory) continue;
      const { config } = runFiles(runs, name);
      const stat = await Deno.stat(config).catch(() => null);
      if (!stat) continue;
      const its = await configAt(config).catch((error) => {
        console.error(`Left out: ${error.message}`);
        return null;
      });
      if (its?.task === task) found.push({ name, time: stat.mtime?.getTime() ?? 0 });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort((a, b) => b.time - a.time).map((r) => r.name);
}

/** What a file holds, as a parser reads it; what is wrong with it is the user's to see. */
async function parsed<T>(path: string, parse: (text: string, path: string) => T): Promise<T> {
  const text = await Deno.readTextFile(path);
  try {
    return parse(text, path);
  } catch (cause) {
    throw new UserError((cause as Error).message, { cause });
  }
}

const configAt = (path: string): Promise<RunConfig> => parsed(path, parseConfig);

/**
 * @throws UserError if going on with a run would replace what it came to: its metrics are damaged, or it has weights or
 * metrics and no checkpoint.
 */
export async function requireResumable({ dir, checkpoint, weights, metrics }: RunFiles): Promise<void> {
  const rows = await parsed(metrics, parseMetrics).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return [];
    throw new UserError(`${error.message}. The checkpoint has these rows: remove the file to go on`);
  });
  if (await exists(checkpoint)) return;
  const trained = await exists(weights) ? weights : rows.length ? metrics : null;
  if (trained === null) return;
  throw new UserError(
    `${checkpoint} is not there, and without it ${dir} would be trained from the start, over ${trained}: ` +
      `put it back, or train anew with another --name`,
  );
}

/**
 * A run's config.
 * @throws UsageError if there is no such run of the task; UserError if its config is not as it should be.
 */
export async function readConfig<C extends RunConfig>(
  runs: string,
  name: string,
  task: C["task"],
): Promise<C> {
  const { config: path, dir } = runFiles(runs, name);
  const config = await configAt(path).catch(async (error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const known = await listRuns(runs, task);
    const advice = known.length ? `There are: ${known.join(", ")}` : `Make one with \`deno task ${task}\``;
    throw new UsageError(`There is no run ${dir}. ${advice}`);
  });
  if (config.task === task) return config as C;
  throw new UsageError(`${dir} is a run of \`deno task ${config.task}\`, not of \`deno task ${task}\``);
}

/** The lock of this process's run, held until the process ends, however it does. */
let held: Deno.FsFile | undefined;

/** Tries to lock a run's directory until this process ends. */
async function tryLock({ lock }: RunFiles): Promise<boolean> {
  held = await Deno.open(lock, { create: true, write: true });
  return await held.tryLock(true);
}

/**
 * Keeps other processes from training in a run's directory until this one ends.
 * @throws UserError where another has it.
 */
export async function lockRun(files: RunFiles): Promise<void> {
  if (await tryLock(files)) return;
  throw new UserError(`${files.dir} is being trained by another process: wait for its end, or stop it`);
}

/** What a process that was killed before its run began may leave in the directory. */
const isLeftOver = (name: string) => name === ".lock" || name.endsWith(".tmp");

/** The error of a name that is taken, by a run or by something else. */
function takenError(dir: string, isRun: boolean): UsageError {
  const advice = isRun ? `, or --resume ${dir.split("/").at(-1)}` : "";
  return new UsageError(`${dir} exists: give another --name${advice}`);
}

/** @throws UsageError unless a run can be made: its directory is not there, or a run that never began left it. */
export async function requireUnused({ dir, config }: RunFiles): Promise<void> {
  const stat = await Deno.lstat(dir).catch(() => null);
  if (!stat) return;
  const taken = takenError(dir, await exists(config));
  if (!stat.isDirectory) throw taken;
  for await (const { name } of Deno.readDir(dir)) if (!isLeftOver(name)) throw taken;
}

/**
 * Makes and locks the directory of a new run, and writes its config.
 * @throws UsageError where the directory exists, or another process is making it.
 */
export async function makeRun(files: RunFiles, config: RunConfig): Promise<void> {
  await requireUnused(files);
  await Deno.mkdir(files.dir, { recursive: true });
  if (!await tryLock(files)) throw takenError(files.dir, true);
  await requireUnused(files); // another process may have begun the run before it was locked
  await writeConfig(files, config);
}

/** Writes a run's config. */
export async function writeConfig(files: RunFiles, config: RunConfig): Promise<void> {
  await updateFile(files.config, JSON.stringify(config, null, 2) + "\n");
}

/** Whether there is a file. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Writes a file, unless it holds just that. */
export async function updateFile(path: string, content: Uint8Array | string): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const old = await Deno.readFile(path).catch(() => null);
  if (old?.length !== bytes.length || old.some((byte, i) => byte !== bytes[i])) await writeFile(path, bytes);
}

/** Prints what a run's directory holds. */
export async function tellFiles(dir: string): Promise<void> {
  const list: string[] = [];
  for await (const { name } of Deno.readDir(dir)) if (!name.startsWith(".")) list.push(name);
  console.log(`Wrote ${dir}: ${list.sort().join(", ")}`);
}
