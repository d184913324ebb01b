/** What the tasks that train share before the fit: their options, which run is meant, and its data. */
import { type DataLoader, type DataLoaderOptions, DataLoaders, setSeed, take, useDevice } from "../mod.ts";
import {
  type Command,
  type CommonOptions,
  MAX_SEED,
  number,
  Option,
  UserError,
  whole,
  withCommonOptions,
} from "./cli.ts";
import { hashOf, loadAgain, loadData } from "./data.ts";
import type { RunConfig } from "./presets.ts";
import { listRuns, lockRun, readConfig, requireMetrics, type RunFiles, runFiles } from "./runs.ts";

/** What {@link withTrainingOptions} adds, as parsed. */
export interface TrainingOptions extends CommonOptions {
  preset: string;
  name?: string;
  resume?: string | true;
  data?: string;
  checkpointEvery: number;
}

const MAX_ITEMS = 1e9;

/** Adds the options that both tasks have. */
export function withTrainingOptions(command: Command, presets: string[]): Command {
  return withCommonOptions(command)
    .addOption(new Option("--preset <name>", "where options begin").choices(presets).default(presets[0]))
    .option("--name <name>", "the run's name (default: the preset and the time)")
    .option("--resume [name]", "go on with a run: that one, or the newest")
    .option("--data <dir>", "directory of the four IDX files")
    .option("--limit <n>", "training images at most; 0 for all", whole(0, MAX_ITEMS))
    .option("--test-limit <n>", "test images at most; 0 for all", whole(0, MAX_ITEMS))
    .option("--batch <n>", "batch size", whole(1, 65_536))
    .option("--epochs <n>", "epochs", whole(1, 100_000))
    .option("--lr <x>", "peak of the one-cycle learning rate", number(0, 100))
    .option("--eps <x>", "Adam's epsilon, over 0", number(1e-38, 1))
    .option("--mixed-precision", "multiply in f16 where the device can, and scale the loss")
    .option("--seed <n>", "fixes every random number", whole(0, MAX_SEED))
    .option("--checkpoint-every <n>", "training batches between checkpoints", whole(1, MAX_ITEMS), 200);
}

/** A preset with the options given on the command line laid over it. */
export function overlay<C extends RunConfig>(command: Command, preset: C): C {
  const config = { ...preset }, options = command.opts();
  for (const key of Object.keys(preset)) {
    if (command.getOptionValueSource(key) === "cli") Object.assign(config, { [key]: options[key] });
  }
  return config;
}

/** A run that is to be made or gone on with. */
export interface Run<C extends RunConfig> {
  name: string;
  config: C;
  resume: boolean;
  files: RunFiles;
}

/**
 * The run that the command line means; `make` gives a new one its config.
 * @throws UserError for a name that cannot be, no run to resume, or an option that would change the one resumed.
 */
export async function chooseRun<C extends RunConfig>(
  command: Command,
  task: C["task"],
  make: (preset: string) => C,
): Promise<Run<C>> {
  const { runs, preset, resume, name: wanted } = command.opts<TrainingOptions>();
  if (resume !== undefined) {
    const name = resume === true ? (await listRuns(runs, task))[0] : resume;
    if (!name) throw new UserError(`There is no run of \`deno task ${task}\` in ${runs} to resume`);
    const config = await readConfig<C>(runs, name, task);
    const asked = overlay(command, config);
    for (const key of Object.keys(config) as (keyof C & string)[]) {
      if (key === "samples" || String(asked[key]) === String(config[key])) continue;
      const { long } = command.options.find((o) => o.attributeName() === key)!;
      throw new UserError(`${long} ${asked[key]}: run ${name} goes on with its own ${config[key]}`);
    }
    const files = runFiles(runs, name);
    await lockRun(files);
    await requireMetrics(files);
    return { name, config, resume: true, files };
  }
  const stamp = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const name = wanted ?? `${preset}-${stamp}`;
  if (!/^[\w.-]+$/.test(name)) throw new UserError(`--name ${name}: letters, digits, ".", "_" and "-" only`);
  const files = runFiles(runs, name);
  if (await Deno.stat(files.config).catch(() => null)) {
    throw new UserError(`${files.dir} exists: give another --name, or --resume ${name}`);
  }
  return { name, config: make(preset), resume: false, files };
}

/**
 * Starts the device, fixes the random numbers and loads the data, whose source and hash the run's config keeps.
 * @throws UserError if a run goes on with other data.
 */
export async function prepare(
  { device, data: dir }: TrainingOptions,
  { name, config }: Run<RunConfig>,
  { transform, augment }: Pick<DataLoaderOptions, "transform" | "augment">,
): Promise<DataLoaders<DataLoader>> {
  await useDevice(device);
  const data = dir === undefined && config.dataSource !== undefined
    ? await loadAgain(config.dataSource)
    : await loadData(dir);
  const hash = await hashOf(data);
  if (config.dataHash !== undefined && config.dataHash !== hash) {
    throw new UserError(
      `Run ${name} was trained on other data: ${config.dataSource} (SHA-256 ${config.dataHash}), ` +
        `not ${data.source} (${hash})`,
    );
  }
  config.dataSource = data.source;
  config.dataHash = hash;
  const { limit, testLimit, seed, batch } = config, { train, test } = data;
  setSeed(seed);
  return DataLoaders.from(limit ? take(train, limit) : train, testLimit ? take(test, testLimit) : test, {
    batchSize: batch,
    seed,
    transform,
    augment,
  });
}
