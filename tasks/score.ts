/** `deno task score`: how far what a network draws is from real images. */
import { progressBar, sha256 } from "../core/mod.ts";
import { encodeSafetensors, type Module, scores, take, toTorch, transforms } from "../mod.ts";
import { fromCaller, inProject } from "./caller.ts";
import {
  command as makeCommand,
  main,
  MAX_SEED,
  names,
  number,
  numbers,
  parse,
  path,
  range,
  runName,
  UsageError,
  whole,
} from "./cli.ts";
import { backToData, DATA_SIZE, hashOf, loadData, prepareImages } from "./data.ts";
import { type CommonOptions, startDevice, withCommonOptions } from "./device.ts";
import { type Drawable, drawableDdpm, drawableEdm, type SamplerName, SAMPLERS } from "./draw_diffusion.ts";
import { readEdmModel } from "./edm.ts";
import { isFile } from "./from.ts";
import { chooseModel, type ModelOptions, pretrainedOption } from "./models.ts";
import { requireFolder, requireReadable } from "./paths.ts";
import { isOfPictures } from "./presets.ts";
import { exists, runFiles } from "./runs.ts";
import { costOf, floorOf, type Making, measure, referenceOf, score } from "./score_draw.ts";
import {
  readReport,
  type ScoreFacts,
  scoreFiles,
  type ScoreReport,
  type ScoreRow,
  tableOf,
  writeReport,
} from "./score_report.ts";
import { allIsWritten, endOnStop } from "./stop.ts";

/** Where scores go that are of no run. */
const SCORES = "scores";
const SAMPLER_NAMES = Object.keys(SAMPLERS) as SamplerName[];

const command = withCommonOptions(
  makeCommand(
    "score",
    "Scores what a model draws beside real images, by features of our classifier: FID, KID, precision, recall, class accuracy",
  ),
)
  .argument(
    "[run]",
    "a run, or a file of weights (default: the newest run, or a model that ships where there is none)",
    (text: string) => isFile(text) ? text : runName(text),
  )
  .option("--average <length>", "an average of the weights of this length (edm, ect)", number(0.001, 0.288))
  .addOption(pretrainedOption("score"))
  .option(
    "--samplers <list>",
    `of ${SAMPLER_NAMES.join(", ")} (default: the network's own)`,
    names(SAMPLER_NAMES),
  )
  .option("--steps <list>", "sampling steps, such as 5,10,20 (default: the network's own)", numbers)
  .option("--n <count>", "images of each score", whole(8, 1e6), 10_000)
  .option("--seeds <count>", "how often each is drawn, with other noise", whole(1, 100), 1)
  .option("--seed <n>", "the first seed", whole(0, MAX_SEED - 100), 1)
  .option("--guidance <x>", "how far to go towards the class: 1 as it is, 2 more of it", number(0, 20), 1)
  .option(
    "--guidance-interval <low,high>",
    "noise σ between which there is guidance (default: everywhere)",
    range,
  )
  .option("--batch <n>", "images that are drawn at once", whole(1, 4096), 250)
  .option("--reference <n>", "training images to compare with; 0 for all", whole(0, 1e9), 0)
  .option("--data <dir>", "directory of the four IDX files (default: where they are found)", path)
  .option("--out <dir>", "where the files go (default: the run, or scores)", path)
  .option("--anew", "replace scores of something else that are there");

interface Options extends CommonOptions, ModelOptions {
  samplers?: SamplerName[];
  steps?: number[];
  n: number;
  seeds: number;
  seed: number;
  guidance: number;
  guidanceInterval?: [low: number, high: number];
  batch: number;
  reference: number;
  data?: string;
  out?: string;
  anew?: boolean;
}

/** A network to score. */
interface Scored {
  title: string;
  /** Where its scores go by default. */
  dir: string;
  /** Brings its images to the data's size, and how the data's become like them, where these are others. */
  prepare?: transforms.ImageTransform;
  making?: Making;
  load(): Promise<{ drawable: Drawable; model: Module }>;
}

/** @throws UsageError for a network of other images than Fashion-MNIST's, of which the scores are. */
function requireClothes(what: string, channels: number, size: unknown): void {
  if (channels === 1 && (typeof size !== "number" || size === DATA_SIZE)) return;
  throw new UsageError(
    `${what}: scores compare grey images of ${DATA_SIZE}×${DATA_SIZE} with Fashion-MNIST's, not ` +
      `${channels === 1 ? "grey" : "RGB"} ones of ${size}×${size}`,
  );
}

/** A file of a network of EDM, as a run's. */
async function chooseFile(run: string, { average, pretrained }: Options): Promise<Scored> {
  const file = fromCaller(run);
  if (pretrained) throw new UsageError(`${run} and --pretrained: give one of them`);
  if (average !== undefined) throw new UsageError(`--average ${average}: a file has one length; name a run`);
  await requireReadable("The file", file);
  if (!await exists(file)) throw new UsageError(`${run}: there is no such file`);
  const load = async () => {
    const { model } = await readEdmModel(file);
    requireClothes(run, model.model.config.in_channels, model.model.config.sample_size);
    return { drawable: drawableEdm(model), model: model.model };
  };
  return { title: file, dir: inProject(SCORES), load };
}

/**
 * The network that the command line means.
 * @throws UsageError for one that is not there, or for options that do not go with it.
 */
async function choose(run: string | undefined, options: Options): Promise<Scored> {
  if (run !== undefined && isFile(run)) return await chooseFile(run, options);
  const { runs, guidance, samplers = [], steps = [] } = options;
  const chosen = await chooseModel({ ...options, run }), { title, name } = chosen;
  const dir = name === undefined ? inProject(SCORES) : runFiles(runs, name).dir;
  const isEct = chosen.kind === "edm" && chosen.config.method === "ect";
  if (samplers.includes("consistency") && !isEct) {
    throw new UsageError(
      `--samplers consistency: ${title} is of no consistency tuning (\`deno task train --preset ect\`)`,
    );
  }
  if (chosen.kind === "edm") {
    const { config } = chosen;
    if (isOfPictures(config)) {
      throw new UsageError(`${title}: scores compare with Fashion-MNIST, and it is of ${config.images}`);
    }
    const load = async () => {
      const model = await chosen.load();
      return { drawable: drawableEdm(model, { few: isEct }), model: model.model };
    };
    return { title, dir, load };
  }
  const { config } = chosen, most = steps.find((n) => n > config.steps);
  if (guidance !== 1) throw new UsageError(`--guidance ${guidance}: ${title} knows of no classes`);
  if (most !== undefined) {
    throw new UsageError(`--steps ${most}: ${title} has ${config.steps} diffusion steps`);
  }
  const load = async () => {
    const model = await chosen.load();
    return { drawable: drawableDdpm(model, config), model };
  };
  const prepare = backToData(config), transform = transforms.compose(prepareImages(config), prepare);
  const making = config.fit === "resize" ? { transform, name: `resize ${config.size}` } : undefined;
  return { title, dir, prepare, making, load };
}

/** The SHA-256 of weights as a file of F32 has them. */
async function hashOfWeights(model: Module): Promise<string> {
  return await sha256(encodeSafetensors(await toTorch(model.stateDict())));
}

/** `deno task score`. */
export async function scoreTask(args: string[]): Promise<void> {
  const options = parse<Options>(command, args, ["runs", "data", "out"]), [run] = command.args;
  const { n, batch, guidance, guidanceInterval, seeds, seed: first } = options;
  if (options.data !== undefined) await requireReadable("--data", options.data);
  if (guidanceInterval && guidance === 1) {
    throw new UsageError("--guidance-interval says where there is --guidance: give both");
  }
  const chosen = await choose(run, options);
  const dir = await requireFolder("--out", options.out ?? chosen.dir);
  const given = options.data === undefined ? null : await loadData(options.data);
  const device = await startDevice(command);
  const { drawable, model } = await chosen.load(), { prepare, making } = chosen;
  const data = given ?? await loadData(undefined);
  const features = await scores.classifierFeatures();
  const facts: ScoreFacts = {
    weights: await hashOfWeights(model),
    classifier: features.hash,
    data: await hashOf(data),
    reference: Math.min(options.reference || Infinity, data.train.length),
    n,
    batch,
    guidance,
    guidanceInterval: guidanceInterval ?? null,
  };
  const before = options.anew ? undefined : await readReport(dir, facts);
  let done = 0, all = 0;
  await endOnStop(() =>
    done
      ? `Stopped: ${done} of ${all} scores are in ${scoreFiles(dir).json}; the same command goes on`
      : "Stopped: nothing was scored"
  );
  const reference = await referenceOf(features, take(data.train, facts.reference), facts.data, making);
  const evaluation = new scores.ImageEval(features, reference, { range: drawable.range, prepare });
  const report: ScoreReport = {
    facts,
    title: chosen.title,
    device: `${device.name} (${device.detail})`,
    floor: before?.floor ?? await floorOf(features, reference, data.test, n, making),
    rows: before?.rows ?? [],
  };
  await writeReport(dir, report);
  const { samplers = [drawable.sampler], steps: stepsOf = [drawable.steps] } = options;
  const wanted = samplers.flatMap((sampler) =>
    stepsOf.map((steps) => ({
      row: rowOf(report, sampler, steps),
      drawing: { sampler, steps, guidance, guidanceInterval },
    }))
  );
  const missing = wanted.flatMap(({ row, drawing }) =>
    Array.from({ length: seeds }, (_, i) => first + i)
      .filter((seed) => !row.seeds.some((s) => s.seed === seed))
      .map((seed) => ({ row, drawing, seed }))
  );
  all = missing.length;
  const bar = progressBar("drawing", missing.reduce((sum, { drawing }) => sum + costOf(drawing, n), 0));
  let drawn = 0;
  try {
    for (const { row, drawing, seed } of missing) {
      const note = `${drawing.sampler}, ${drawing.steps} steps, seed ${seed}`;
      if (!row.seeds.length) {
        Object.assign(row, await measure(drawable, drawing, () => bar.update(drawn, note)));
      }
      const perImage = costOf(drawing, 1) / drawing.steps;
      const scored = await score(evaluation, drawable, drawing, facts, seed, (images) => {
        bar.update(drawn += images * perImage, note);
      });
      row.seeds.push({ seed, ...scored });
      await writeReport(dir, report);
      done++;
    }
  } finally {
    bar.stop();
  }
  await writeReport(dir, report);
  allIsWritten();
  console.log(tableOf(report));
  const { json, table, plot } = scoreFiles(dir);
  console.log(`Wrote ${json}, ${table} and ${plot} (${chosen.title}, ${n} images of each)`);
}

/** The report's row of a sampler, which is put in where it is not there. */
function rowOf({ rows }: ScoreReport, sampler: SamplerName, steps: number): ScoreRow {
  const found = rows.find((row) => row.sampler === sampler && row.steps === steps);
  if (found) return found;
  const row = { sampler, steps, evaluations: 0, secondsFor64: 0, seeds: [] };
  rows.push(row);
  return row;
}

if (import.meta.main) await main(scoreTask);
