/** The directory of a run, and what is in it. */
import { UserError } from "./cli.ts";
import type { RunConfig } from "./presets.ts";

/** Paths of a run's files. */
export interface RunFiles {
  dir: string;
  config: string;
  weights: string;
  checkpoint: string;
  metrics: string;
  lossPlot: string;
  samples: string;
  animation: string;
}

/** The paths of a run's files, which need not be there. */
export function runFiles(runs: string, name: string): RunFiles {
  const dir = `${runs}/${name}`;
  return {
    dir,
    config: `${dir}/config.json`,
    weights: `${dir}/model.safetensors`,
    checkpoint: `${dir}/checkpoint.safetensors`,
    metrics: `${dir}/metrics.jsonl`,
    lossPlot: `${dir}/loss.svg`,
    samples: `${dir}/samples.png`,
    animation: `${dir}/samples.gif`,
  };
}

/** The task that a config belongs to; configs of before there were classifiers do not tell. */
const taskOf = (config: { task?: RunConfig["task"] }) => config.task ?? "train";

/** The names of a task's finished or begun runs, newest first. */
export async function listRuns(runs: string, task: RunConfig["task"]): Promise<string[]> {
  const found: { name: string; time: number }[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(runs)) {
      if (!isDirectory) continue;
      const { config } = runFiles(runs, name);
      const stat = await Deno.stat(config).catch(() => null);
      if (!stat) continue;
      const its = await parseConfig(config).catch(() => null);
      if (its && taskOf(its) === task) found.push({ name, time: stat.mtime?.getTime() ?? 0 });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort((a, b) => b.time - a.time).map((r) => r.name);
}

async function parseConfig(path: string): Promise<RunConfig> {
  const text = await Deno.readTextFile(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UserError(`${path} is no JSON: ${(cause as Error).message}`);
  }
}

/**
 * A run's config.
 * @throws UserError if there is no such run of the task, or its config is no JSON.
 */
export async function readConfig<C extends RunConfig>(
  runs: string,
  name: string,
  task: C["task"],
): Promise<C> {
  const { config: path, dir } = runFiles(runs, name);
  const config = await parseConfig(path).catch(async (error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const known = await listRuns(runs, task);
    const advice = known.length ? `There are: ${known.join(", ")}` : `Make one with \`deno task ${task}\``;
    throw new UserError(`There is no run ${dir}. ${advice}`);
  });
  if (taskOf(config) === task) return config as C;
  throw new UserError(`${dir} is a run of \`deno task ${taskOf(config)}\`, not of \`deno task ${task}\``);
}

/** Prints what a run's directory holds. */
export async function tellFiles(dir: string): Promise<void> {
  const list: string[] = [];
  for await (const { name } of Deno.readDir(dir)) list.push(name);
  console.log(`Wrote ${dir}: ${list.sort().join(", ")}`);
}
