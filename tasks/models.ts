/** The DDPMs of the tasks: a config's network and schedule, and the trained one that the command line means. */
import { diffusion, initDdpm, linearSchedule, loadWeights, pretrained, type Schedule, UNet } from "../mod.ts";
import { Option, UsageError, UserError } from "./cli.ts";
import { readEdmModel, readMixedAverage } from "./edm.ts";
import { requireReadable } from "./paths.ts";
import { EDM_PRESETS, type EdmConfig, isEdm, PRESETS, type TrainConfig, unetOptions } from "./presets.ts";
import { exists, listRuns, readConfig, runFiles } from "./runs.ts";

/** The network of a config, as PyTorch initialises it. */
function makeUnet(config: TrainConfig): UNet {
  return new UNet({ ...unetOptions(config), sample_size: config.size });
}

/** The network of a config, initialised as the config says. */
export function makeModel(config: TrainConfig): UNet {
  const model = makeUnet(config);
  if (config.initDdpm) initDdpm(model);
  return model;
}

/** The schedule of a config. */
export function makeSchedule({ steps, betaMin, betaMax, variance }: TrainConfig): Schedule {
  return linearSchedule({ nSteps: steps, betaMin, betaMax, variance });
}

/** What reading a run's weights failed with, in words where there are none yet. */
function withoutWeights(name: string, weights: string, error: Error): Error {
  if (!(error.cause instanceof Deno.errors.NotFound)) return error;
  return new UserError(`The run ${name} has no ${weights}: its training has not finished an epoch yet`);
}

/** A run's trained network. */
async function loadModel(runs: string, name: string, config: TrainConfig): Promise<UNet> {
  const { weights } = runFiles(runs, name);
  const model = makeUnet(config);
  await loadWeights(model, weights).catch((error) => {
    throw withoutWeights(name, weights, error);
  });
  return model;
}

/** The network of a run of EDM's training. */
async function loadEdmModel(runs: string, name: string, average?: number): Promise<diffusion.EDMModel> {
  const { dir, weights } = runFiles(runs, name);
  if (average !== undefined) return await readMixedAverage(dir, average);
  const { model } = await readEdmModel(weights).catch((error) => {
    throw withoutWeights(name, weights, error);
  });
  return model;
}

/** A network to draw with or to measure, and what it is. */
interface Known<Config, Model> {
  config: Config;
  /** The run's name; none for the shipped model. */
  name?: string;
  /** For people. */
  title: string;
  /** Loads it onto the device. */
  load(): Promise<Model>;
}
/** A network of a DDPM. */
export type ChosenDdpm = Known<TrainConfig, UNet> & { kind: "ddpm" };
/** A network of EDM's training or of consistency tuning. */
export type ChosenEdm = Known<EdmConfig, diffusion.EDMModel> & { kind: "edm" };

/** Names of the models that ship: networks of classes, and the lesson's DDPM. */
type ShippedName = diffusion.PretrainedName | "lesson";
/** The one that is taken where no run is. */
const DEFAULT_SHIPPED: ShippedName = "edm";

/**
 * The option of a model that ships.
 * @param what is done with it
 */
export function pretrainedOption(what: string): Option {
  const names = [...Object.keys(diffusion.PRETRAINED), "lesson"];
  return new Option("--pretrained [name]", `${what} a model that ships, whatever runs there are`)
    .choices(names).preset(DEFAULT_SHIPPED);
}

/** A model that ships. */
function shipped(pretrainedName: ShippedName): ChosenDdpm | ChosenEdm {
  const title = `the shipped model ${pretrainedName}`;
  if (pretrainedName === "lesson") {
    return { kind: "ddpm", config: PRESETS.lesson, title, load: async () => (await pretrained()).model };
  }
  const { few } = diffusion.PRETRAINED[pretrainedName], load = () => diffusion.pretrained(pretrainedName);
  return { kind: "edm", config: few ? EDM_PRESETS.ect : EDM_PRESETS.edm, title, load };
}

/** Which network the command line means. */
export interface ModelOptions {
  run?: string;
  /** Name of a model that ships. */
  pretrained?: ShippedName;
  /** Length of the average of the weights; default the run's last. */
  average?: number;
  runs: string;
}

/** The newest run that has weights: none has before its first epoch is over or it is stopped. */
async function newestTrained(runs: string): Promise<string | undefined> {
  for (const name of await listRuns(runs, "train")) {
    if (await exists(runFiles(runs, name).weights)) return name;
  }
}

/**
 * The run or the shipped model asked for, else the newest run that has weights, else a model that ships.
 * @throws UsageError for both, a run that is not there, or runs that the task may not read.
 */
export async function chooseModel(
  { run, pretrained: asked, runs, average }: ModelOptions,
): Promise<ChosenDdpm | ChosenEdm> {
  if (run && asked) throw new UsageError("--run and --pretrained: give one of them");
  if (!asked) await requireReadable("--runs", runs);
  const name = asked ? undefined : run ?? await newestTrained(runs);
  const requireAverages = (has: boolean, title: string) => {
    if (average === undefined || has) return;
    throw new UsageError(`--average ${average}: ${title} has kept no averages of its weights`);
  };
  if (name === undefined) {
    const chosen = shipped(asked ?? DEFAULT_SHIPPED);
    requireAverages(false, chosen.title);
    return chosen;
  }
  const config = await readConfig<TrainConfig | EdmConfig>(runs, name, "train"), title = `run ${name}`;
  requireAverages(isEdm(config), title);
  return isEdm(config)
    ? { kind: "edm", config, name, title, load: () => loadEdmModel(runs, name, average) }
    : { kind: "ddpm", config, name, title, load: () => loadModel(runs, name, config) };
}
