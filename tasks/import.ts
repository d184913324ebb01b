/** `deno task import`: a pipeline of Diffusers as a run. */
import { basename } from "node:path";
import { diffusion, saveWeights } from "../mod.ts";
import { fromCaller } from "./caller.ts";
import { command as makeCommand, main, parse, path, runName, UsageError, UserError } from "./cli.ts";
import { type CommonOptions, startDevice, withCommonOptions } from "./device.ts";
import { makeModel } from "./models.ts";
import { requireFolder } from "./paths.ts";
import { PRESETS, type TrainConfig } from "./presets.ts";
import { exists, makeRun, requireUnused, runFiles, tellFiles } from "./runs.ts";
import { toFlag } from "./training.ts";

const command = withCommonOptions(
  makeCommand("import", "Makes a run of a pipeline that Diffusers, or deno task export, wrote"),
)
  .argument(
    "<where>",
    "a directory, its https: address, or a model of Hugging Face, OWNER/NAME[@REVISION]",
    path,
  )
  .option("--variant <name>", "which of several files of weights, such as fp16")
  .option("--name <name>", "the run's name (default: the last part of where)", runName);

interface Options extends CommonOptions {
  variant?: string;
  name?: string;
}

/** The run's name where the command line gives none. */
function nameOf(where: string): string {
  const name = basename(where.replace(/@[^/]*$/, "").replace(/[?#].*$/, ""));
  try {
    return runName(name);
  } catch {
    throw new UsageError(`${where}: "${name}" is no name of a run: give --name`);
  }
}

/** What the scheduler of a pipeline says where it is that of a run. */
const SCHEDULER: Partial<diffusion.SchedulerConfig> = {
  beta_schedule: "linear",
  trained_betas: null,
  prediction_type: "epsilon",
  clip_sample: true,
  clip_sample_range: 1,
};

/** @throws UserError unless a field is what runs of `deno task train` have. */
function requireSame(where: string, part: string, field: string, is: unknown, must: unknown): void {
  const [given, ours] = [is, must].map((value) => JSON.stringify(value));
  if (given === ours) return;
  throw new UserError(
    `${where}: "${field}" of its ${part} is ${given}, and of a run of deno task train ${ours}`,
  );
}

/**
 * The config of a run with the network and the schedule of a pipeline; what it says of training is the preset `lesson`'s.
 * @throws UserError that names what is other than in a run.
 */
export function configOf(
  where: string,
  { model: { config }, scheduler: { config: how } }: Pick<diffusion.Pipeline, "model" | "scheduler">,
): TrainConfig {
  const [height, width = height] = [config.sample_size].flat();
  if (height === null || height !== width) {
    throw new UserError(`${where}: its images are ${height}×${width}, and those of a run square`);
  }
  for (const [field, must] of Object.entries(SCHEDULER)) {
    requireSame(where, "scheduler", field, how[field as keyof typeof how], must);
  }
  const run: TrainConfig = {
    ...PRESETS.lesson,
    preset: "imported",
    size: height,
    channels: config.block_out_channels,
    layers: config.layers_per_block,
    groups: config.norm_num_groups ?? PRESETS.lesson.groups,
    headDim: config.attention_head_dim ?? PRESETS.lesson.headDim,
    attention: config.down_block_types.map((type) => type === "AttnDownBlock2D"),
    steps: how.num_train_timesteps,
    betaMin: how.beta_start,
    betaMax: how.beta_end,
    variance: how.variance_type === "fixed_small" ? "fixed_small" : "fixed_large",
  };
  const ours = makeModel(run), theirs: object = { ...config, sample_size: height };
  ours.dispose();
  for (const [field, must] of Object.entries(ours.config)) {
    requireSame(where, "network", field, theirs[field as keyof typeof theirs], must);
  }
  return run;
}

/** `deno task import`. */
export async function importTask(args: string[]): Promise<void> {
  const { runs, variant, name: wanted } = parse<Options>(command, args, ["runs"]);
  const [given] = command.processedArgs as [string], here = fromCaller(given);
  const where = await exists(here) ? here : given, name = wanted ?? nameOf(where);
  const files = runFiles(await requireFolder("--runs", runs), name);
  await requireUnused(files);
  await startDevice(command);
  const pipeline = await diffusion.loadPipeline(where, { variant }).catch((cause) => {
    throw new UserError((cause as Error).message, { cause });
  });
  const config = configOf(where, pipeline), model = makeModel(config);
  model.loadStateDict(pipeline.model.stateDict());
  pipeline.model.dispose();
  await makeRun(files, config);
  await saveWeights(model, files.weights, { config: JSON.stringify(model.config) });
  model.dispose();
  await tellFiles(files.dir);
  console.log("Its images are taken to go from 0 to 1, as those of deno task train do");
  console.log(`Draw with: deno task sample --run ${name}`);
  const flags = Object.entries({ ...config, begin: files.weights }).filter(([field, value]) =>
    field !== "preset" && String(value) !== String(PRESETS.lesson[field as keyof TrainConfig])
  );
  console.log(`Train on from it with: deno task train --preset lesson ${flags.map(toFlag).join(" ")}`);
}

if (import.meta.main) await main(importTask);
