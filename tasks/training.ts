/** What the tasks that train share before the fit: their options, which run is meant, and its data. */
import { resolve } from "node:path";
import { type DataLoader, type DataLoaderOptions, DataLoaders, setSeed, take } from "../mod.ts";
import {
  type Command,
  MAX_SEED,
  number,
  Option,
  path,
  runName,
  UsageError,
  UserError,
  whole,
} from "./cli.ts";
import { hashOf, loadAgain, loadData } from "./data.ts";
import { type CommonOptions, startDevice, withCommonOptions } from "./device.ts";
import { requireFolder, requireReadable } from "./paths.ts";
import type { RunConfig } from "./presets.ts";
import {
  listRuns,
  lockRun,
  readConfig,
  requireResumable,
  requireUnused,
  type RunFiles,
  runFiles,
} from "./runs.ts";

/** What {@link withTrainingOptions} adds, as parsed. */
export interface TrainingOptions extends CommonOptions {
  preset: string;
  name?: string;
  resume?: string | true;
  data?: string;
}

const MAX_ITEMS = 1e9;
/** What may be given with `--resume`: where to find the run, what computes, and what does not change its numbers. */
const WITH_RESUME = [
  "resume",
  "runs",
  "device",
  "threads",
  "data",
  "images",
  "samples",
  "passes",
  "checkpointEvery",
];

/** Adds the options that both tasks have. */
export function withTrainingOptions(command: Command, presets: string[]): Command {
  return withCommonOptions(command)
    .addOption(new Option("--preset <name>", "where options begin").choices(presets).default(presets[0]))
    .option("--name <name>", "the run's name (default: the preset and the time)", runName)
    .option("--resume [name]", "go on with a run as it was begun: that one, or the newest", runName)
    .option("--data <dir>", "directory of the four IDX files (default: where they are found)", path)
    .option("--limit <n>", "training images at most; 0 for all", whole(0, MAX_ITEMS))
    .option("--test-limit <n>", "test images at most; 0 for all", whole(0, MAX_ITEMS))
    .option("--batch <n>", "batch size", whole(1, 65_536))
    .option("--epochs <n>", "epochs", whole(1, 100_000))
    .option("--lr <x>", "peak of the one-cycle learning rate", number(0, 100))
    .option("--pct-start <x>", "share of the steps in which it rises", number(0, 1))
    .option("--div-factor <x>", "the peak over the first rate", number(1, 1e9))
    .option("--final-div-factor <x>", "the first rate over the last", number(1, 1e9))
    .option("--base-momentum <x>", "Adam's β1 at the peak", number(0, 0.9999))
    .option("--max-momentum <x>", "Adam's β1 at the ends", number(0, 0.9999))
    .option("--beta2 <x>", "Adam's β2", number(0, 0.999999))
    .option("--eps <x>", "Adam's epsilon, over 0", number(1e-38, 1))
    .option("--weight-decay <x>", "Adam's L2 penalty; AdamW's decay", number(0, 1))
    .option("--mixed-precision", "multiply in f16 where the device can, and scale the loss")
    .option("--no-mixed-precision", "multiply in f32")
    .option("--seed <n>", "fixes every random number", whole(0, MAX_SEED))
    .option("--checkpoint-every <n>", "training batches between checkpoints", whole(1, MAX_ITEMS));
}

/** A field of a config as the flag that sets it. */
export function toFlag([key, value]: [string, unknown]): string {
  const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  if (typeof value === "boolean") return value ? `--${name}` : `--no-${name}`;
  const words = [value].flat().map((part) => part === true ? "yes" : part === false ? "no" : part);
  return `--${name} ${words.join(",") || '""'}`;
}

/** Fields of a config that no option sets. */
const WITHOUT_OPTION = ["task", "preset", "method"];

/** What presets set, as the end of a task's help: the first whole, of the others how they differ from it. */
export function describePresets<C extends RunConfig>(presets: Record<string, C>, title = "Presets"): string {
  const first = Object.values(presets)[0];
  const parts = Object.entries(presets).map(([name, config]) => {
    const fields = Object.entries(config).filter(([key, value]) =>
      !WITHOUT_OPTION.includes(key) && value !== "" && value !== null &&
      (config === first || String(value) !== String(first[key as keyof C]))
    );
    const flags = fields.map(toFlag).map((flag) => flag.replace(" ", "\u00a0")).join(" ");
    const lines = flags.replace(/(.{1,76})( |$)/g, "    $1\n").replaceAll("\u00a0", " ").trimEnd();
    return `  ${name}${config === first ? "" : `: as ${first.preset}, but`}\n${lines}`;
  });
  return ["", `${title}:`, ...parts].join("\n");
}

/** A preset with the options given on the command line laid over it. */
export function overlay<C extends RunConfig>(command: Command, preset: C): C {
  const config = { ...preset }, options = command.opts();
  for (const key of Object.keys(preset)) {
    if (command.getOptionValueSource(key) === "cli") Object.assign(config, { [key]: options[key] });
  }
  return config;
}

/** Options that no config has. */
const OF_NO_CONFIG = ["look", "from", "preset", "name", "resume", "runs", "data", "device", "threads"];

/** @throws UsageError for an option on the command line that a config has no use for. */
export function requireUsed(command: Command, config: RunConfig): void {
  for (const option of command.options) {
    const key = option.attributeName();
    if (command.getOptionValueSource(key) !== "cli" || OF_NO_CONFIG.includes(key) || key in config) continue;
    throw new UsageError(`${option.long}: --preset ${config.preset} has no use for it`);
  }
}

/** A run that is to be made or gone on with. */
export interface Run<C extends RunConfig> {
  name: string;
  config: C;
  resume: boolean;
  files: RunFiles;
}

/** @throws UsageError for an option that a run which is gone on with would ignore. */
function requireOwn(command: Command, name: string, config: RunConfig): void {
  const own: Record<string, unknown> = { ...config, name };
  for (const option of command.options) {
    const key = option.attributeName(), value = command.getOptionValue(key);
    if (command.getOptionValueSource(key) !== "cli" || WITH_RESUME.includes(key)) continue;
    if (String(value) === String(own[key]) || option.negate !== (value === false)) continue;
    const given = typeof value === "boolean" ? `${option.long}` : `${option.long} ${value}`;
    if (key === "name") throw new UsageError(`${given}: a resumed run keeps its name, ${name}`);
    throw new UsageError(`${given}: run ${name} goes on with its own ${own[key] ?? "default"}`);
  }
}

/**
 * The run that the command line means; `make` gives a new one its config.
 * @throws UsageError for a name that is taken, no run to resume, an option that would change the one resumed, or a place
 * that cannot be written to; UserError for a run whose files are not as they should be to go on.
 */
export async function chooseRun<C extends RunConfig>(
  command: Command,
  task: C["task"],
  make: (preset: string) => C,
): Promise<Run<C>> {
  const { preset, resume, name: wanted, ...options } = command.opts<TrainingOptions>();
  if (options.data !== undefined) await requireReadable("--data", options.data);
  if (resume !== undefined) {
    const { runs } = options;
    const name = resume === true ? (await listRuns(runs, task))[0] : resume;
    if (!name) throw new UsageError(`There is no run of \`deno task ${task}\` in ${runs} to resume`);
    const config = await readConfig<C>(runs, name, task);
    requireOwn(command, name, config);
    const files = runFiles(runs, name);
    await requireFolder("--resume", files.dir);
    await lockRun(files);
    await requireResumable(files);
    return { name, config: overlay(command, config), resume: true, files };
  }
  const config = make(preset);
  const stamp = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const name = wanted ?? `${preset}-${stamp}`;
  const files = runFiles(await requireFolder("--runs", options.runs), name);
  await requireUnused(files);
  return { name, config, resume: false, files };
}

/**
 * Keeps a run's data in its config.
 * @throws UserError if the run goes on with others than it was trained on.
 */
export function requireSameData(
  { name, config }: Run<RunConfig>,
  { source, hash }: { source: string; hash: string },
): void {
  if (config.dataHash !== undefined && config.dataHash !== hash) {
    throw new UserError(
      `Run ${name} was trained on other data: ${config.dataSource} (SHA-256 ${config.dataHash}), ` +
        `not ${source} (${hash})`,
    );
  }
  config.dataSource = source;
  config.dataHash = hash;
}

/**
 * Keeps the hash of the weights that a run begins with in its config.
 * @throws UserError if they are others than those that it began with.
 */
export function requireSameBeginning(
  { name, config }: Run<RunConfig & { begin?: string; beginHash?: string }>,
  hash: string,
): void {
  if (config.beginHash !== undefined && config.beginHash !== hash) {
    throw new UserError(`${config.begin} has changed since the run ${name} began with it`);
  }
  config.beginHash = hash;
}

/**
 * Starts the device, fixes the random numbers and loads the data, whose source and hash the run's config keeps.
 * @throws UsageError for a `--data` that does not hold the data, before the device starts; UserError if a run goes on with other data.
 */
export async function prepare(
  command: Command,
  run: Run<RunConfig>,
  { transform, augment }: Pick<DataLoaderOptions, "transform" | "augment">,
): Promise<DataLoaders<DataLoader>> {
  const { config } = run, { data: dir } = command.opts<TrainingOptions>();
  const given = dir === undefined ? null : await loadData(resolve(dir));
  await startDevice(command);
  const data = given ??
    await (config.dataSource === undefined ? loadData(undefined) : loadAgain(config.dataSource));
  requireSameData(run, { source: data.source, hash: await hashOf(data) });
  const { limit, testLimit, seed, batch } = config, { train, test } = data;
  setSeed(seed);
  return DataLoaders.from(limit ? take(train, limit) : train, testLimit ? take(test, testLimit) : test, {
    batchSize: batch,
    seed,
    transform,
    augment,
  });
}
