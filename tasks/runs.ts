/** The directory of a run, and what is in it. */
import {
  defaultGenerator,
  encodeGif,
  encodePng,
  type Generator,
  type HostArray,
  imageGrid,
  initDdpm,
  linearSchedule,
  loadWeights,
  pretrained,
  progressBar,
  respace,
  sample,
  type Schedule,
  UNet,
  writeFile,
} from "../mod.ts";
import { UserError } from "./cli.ts";
import { PRESETS, type RunConfig, type TrainConfig, unetConfig } from "./presets.ts";

/** Paths of a run's files. */
export function runFiles(runs: string, name: string) {
  const dir = `${runs}/${name}`;
  const file = (name: string) => `${dir}/${name}`;
  return {
    dir,
    config: file("config.json"),
    weights: file("model.safetensors"),
    checkpoint: file("checkpoint.safetensors"),
    metrics: file("metrics.jsonl"),
    lossPlot: file("loss.svg"),
    samples: file("samples.png"),
    animation: file("samples.gif"),
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

/** A run's config. @throws UserError if there is no such run of the task, or its config is no JSON. */
export async function readConfig<C extends RunConfig>(
  runs: string,
  name: string,
  task: C["task"],
): Promise<C> {
  const { config: path, dir } = runFiles(runs, name);
  const config = await parseConfig(path).catch(async (error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const known = await listRuns(runs, task);
    throw new UserError(
      `There is no run ${dir}. ${
        known.length ? `There are: ${known.join(", ")}` : `Make one with \`deno task ${task}\``
      }`,
    );
  });
  if (taskOf(config) === task) return config as C;
  throw new UserError(`${dir} is a run of \`deno task ${taskOf(config)}\`, not of \`deno task ${task}\``);
}

/** The network of a config, freshly initialised. */
export function makeModel(config: TrainConfig): UNet {
  const model = new UNet(unetConfig(config));
  if (config.initDdpm) initDdpm(model);
  return model;
}

/** A run's trained network. */
async function loadModel(runs: string, name: string, config: TrainConfig): Promise<UNet> {
  const { weights } = runFiles(runs, name);
  const bytes = await Deno.readFile(weights).catch(() => {
    throw new UserError(`The run ${name} has no ${weights}: its training has not finished an epoch yet`);
  });
  const model = new UNet(unetConfig(config));
  await loadWeights(model, bytes);
  return model;
}

/** A network to draw with or to measure, and what it is. */
export interface Chosen {
  model: UNet;
  config: TrainConfig;
  /** The run's name; none for the shipped model. */
  name?: string;
  /** For people. */
  title: string;
}

/** The run asked for, else the newest, else the shipped model. */
export async function chooseModel(
  options: { run?: string; pretrained?: boolean; runs: string },
): Promise<Chosen> {
  if (options.run && options.pretrained) throw new UserError("--run and --pretrained: give one of them");
  const name = options.pretrained ? undefined : options.run ?? (await listRuns(options.runs, "train"))[0];
  if (name === undefined) {
    return { model: (await pretrained()).model, config: PRESETS.lesson, title: "the shipped model" };
  }
  const config = await readConfig<TrainConfig>(options.runs, name, "train");
  return { model: await loadModel(options.runs, name, config), config, name, title: `run ${name}` };
}

/** The schedule of a config. */
export function scheduleOf({ steps, betaMin, betaMax }: TrainConfig): Schedule {
  return linearSchedule({ nSteps: steps, betaMin, betaMax });
}

/** What {@link drawSamples} draws, and where it puts it. */
export interface Drawing {
  n: number;
  /** Sampling steps; default all of the schedule. */
  steps?: number;
  generator?: Generator;
  png: string;
  gif?: string;
}

/** The steps whose images the animation shows: of 1000, from t = 200 down by 5, and each of the last ten. */
export function animated(t: number, nSteps: number): boolean {
  const scaled = t * 1000 / nSteps;
  return scaled < 10 || (scaled <= 200 && Math.round(scaled) % 5 === 0) || nSteps < 200;
}

/** Draws images with a bar, and writes them as a grid (dark on light, as the lesson shows them) and an animation. */
export async function drawSamples(
  model: UNet,
  config: TrainConfig,
  { n, steps, generator = defaultGenerator, png, gif }: Drawing,
): Promise<void> {
  const full = scheduleOf(config);
  const schedule = steps === undefined ? full : respace(full, steps);
  const T = schedule.nSteps;
  const bar = progressBar(`sampling ${n} images`, T);
  const images = await sample(model, [n, config.size, config.size, 1], {
    schedule,
    generator,
    keep: (t) => t === 0 || (gif !== undefined && animated(t, T)),
    onStep: (t) => bar.update(T - t),
  }).finally(() => bar.stop());
  const last = images.at(-1)!;
  if (!last.data.every(Number.isFinite)) {
    throw new Error("The samples are not finite: the model has diverged");
  }
  const grid = (x: HostArray, scale: number) => imageGrid(x, { scale, invert: true });
  await writeFile(png, encodePng(grid(last, 3)));
  if (gif) {
    const delays = images.map((_, i) => i === images.length - 1 ? 2000 : 60);
    await writeFile(gif, await encodeGif(images.map((x) => grid(x, 2)), delays));
  }
}
