/** The networks of `--preset edm` and `ect`, and their training. */
import { sha256, writeFile } from "../core/mod.ts";
import {
  AccumulateGradCB,
  Adam,
  type AveragePlace,
  Callback,
  copyOf,
  type DataLoader,
  type DataLoaders,
  diffusion,
  GradientClipCB,
  initDdpm,
  InverseSqrtLR,
  type Learner,
  mixAverages,
  type Module,
  PowerEMACB,
  type StateDict,
  tf,
  transforms,
  unet,
} from "../mod.ts";
import { UserError } from "./cli.ts";
import { imagesOf } from "./data.ts";
import { fitRun } from "./fit.ts";
import { type EdmConfig, isOfPictures, unetOptions } from "./presets.ts";
import { requireSameBeginning, type Run } from "./training.ts";

/** From bytes to the images of [−1, 1] that EDM's networks are trained on. */
export const prepareEdm: transforms.ImageTransform = transforms.toFloat(-1, 1);

/** The network of a config, as the lesson initialises it. */
function makeNetwork(config: EdmConfig): unet.PatchUNet {
  const { size, channels, classes } = imagesOf(config);
  const model = new unet.PatchUNet({
    ...unetOptions(config, channels),
    patch_size: config.patch,
    sample_size: size,
    num_class_embeds: classes.length ? classes.length + 1 : null,
  });
  initDdpm(model);
  return model;
}

/** A file as an EDM network, and its SHA-256. */
export async function readEdmModel(path: string): Promise<{ model: diffusion.EDMModel; hash: string }> {
  const bytes = await Deno.readFile(path).catch((cause) => {
    throw new UserError(`${path} cannot be read: ${cause.message}`, { cause });
  });
  const hash = await sha256(bytes);
  const model = await diffusion.decodeEDMModel(bytes, path).catch((cause) => {
    throw new UserError(`${path} is no network of EDM: ${cause.message}`, { cause });
  });
  return { model, hash };
}

/** Where a run keeps its averages, by their steps and length. */
const averagesOf = (run: string) => `${run}/averages`;
const AVERAGE_FILE = /^(\d+)-(0\.\d+)\.safetensors$/;

/**
 * A run's network with an average of another length, mixed from those that were kept.
 * @throws UserError for a run that has kept none.
 */
export async function readMixedAverage(run: string, length: number): Promise<diffusion.EDMModel> {
  const saved: (AveragePlace & { path: string })[] = [];
  try {
    for await (const { name } of Deno.readDir(averagesOf(run))) {
      const [, steps, length] = AVERAGE_FILE.exec(name) ?? [];
      if (length) {
        saved.push({ steps: Number(steps), length: Number(length), path: `${averagesOf(run)}/${name}` });
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (saved.length === 0) {
    throw new UserError(`${run} has kept no averages: its training has not finished an epoch yet`);
  }
  saved.sort((a, b) => a.steps - b.steps);
  const read = await Promise.all(
    saved.map(async (place) => ({ ...place, ...await readEdmModel(place.path) })),
  );
  const weighted = read.map(({ steps, length, model }) => ({
    steps,
    length,
    weights: model.model.stateDict(),
  }));
  const mixed = mixAverages(weighted, { steps: saved.at(-1)!.steps, length });
  const { model } = read.at(-1)!;
  model.model.loadStateDict(mixed);
  tf.dispose(mixed);
  for (const { model: other } of read.slice(0, -1)) other.model.dispose();
  return { ...model, averageLength: length };
}

/** Standard deviation of the pixels of a loader's images, as the network sees them. */
async function measureSigmaData({ train }: DataLoaders<DataLoader>): Promise<number> {
  const [{ data }] = await train.dataset.items(Int32Array.from({ length: train.size }, (_, i) => i));
  let sum = 0, squares = 0;
  for (const byte of data) {
    const pixel = byte / 127.5 - 1;
    sum += pixel;
    squares += pixel * pixel;
  }
  const mean = sum / data.length;
  return Math.sqrt(squares / data.length - mean * mean);
}

/** Averages go on where weights that have been trained before left off, unless a checkpoint has them. */
class GoOnCB extends Callback {
  /** After the averages have begun, before a checkpoint is read. */
  override order = 50;
  constructor(readonly averages: readonly PowerEMACB[], readonly moves: number) {
    super();
  }
  override beforeFit(learn: Learner): void {
    if (learn.current.train) { for (const average of this.averages) average.moves = this.moves; }
  }
}

/** Writes the weights themselves and each average after each epoch, so that an average's length can be chosen later. */
class KeepAveragesCB extends Callback {
  override order = 90;
  constructor(
    readonly dir: string,
    readonly averages: readonly PowerEMACB[],
    readonly encode: (average?: PowerEMACB) => Promise<Uint8Array>,
  ) {
    super();
  }
  override async afterEpoch(learn: Learner): Promise<void> {
    if (learn.training || !learn.current.train) return;
    await Deno.mkdir(this.dir, { recursive: true });
    for (const average of this.averages) {
      await writeFile(averageFile(this.dir, average), await this.encode(average));
    }
    await writeFile(`${this.dir}/raw.safetensors`, await this.encode());
  }
}

const averageFile = (dir: string, { moves, length }: PowerEMACB) => `${dir}/${moves}-${length}.safetensors`;

/** The table of classes, by its name among the weights. */
const TABLE = "class_embedding.weight";

/** Gives a network another one's weights; the table of classes only where these are the same, in the same order. */
function beginWith(model: unet.PatchUNet, begun: diffusion.EDMModel, classes: readonly string[]): void {
  const weights = begun.model.stateDict();
  if (JSON.stringify(begun.classes) === JSON.stringify(classes)) {
    model.loadStateDict(weights);
    return;
  }
  const { [TABLE]: _, ...others } = weights, { [TABLE]: table } = model.stateDict();
  const own = table && copyOf(table);
  model.loadStateDict(own ? { ...others, [TABLE]: own } : others);
  own?.dispose();
  const named = (names: readonly string[]) => names.length ? names.join(", ") : "none";
  console.error(
    `Classes: ${named(classes)}, in place of ${named(begun.classes)}${
      own ? ": their table begins anew" : ""
    }`,
  );
}

/** A copy of a network's weights, or of an average of them; the caller frees it. */
export function copyOfWeights(model: Module, average?: PowerEMACB): StateDict {
  const copy = () =>
    Object.fromEntries(Object.entries(model.stateDict()).map(([name, x]) => [name, copyOf(x)]));
  return average ? average.withAverage(copy) : copy();
}

/** The callback that makes a config's batches, and its loss. */
function objectiveOf(config: EdmConfig) {
  const { sigmaData, meanLogSigma, stdLogSigma, classDropout, stageBatches = 1 } = config;
  const { classes } = imagesOf(config);
  const conditions = classes.length ? { classes: classes.length, dropout: classDropout } : undefined;
  const options = { sigmaData, meanLogSigma, stdLogSigma, conditions };
  return config.method === "edm"
    ? { cb: new diffusion.EDMCB(options), lossTitle: "loss (EDM's mean squared error)" }
    : {
      cb: new diffusion.ConsistencyCB({ ...options, stageBatches }),
      lossFunc: diffusion.consistencyLoss(),
      lossTitle: "loss (distance of a pair's estimates)",
    };
}

/**
 * Trains a run's network.
 * @param more callbacks besides, given the average that pictures are drawn with
 * @returns the network with the last of the config's averages for weights, or null where it was stopped; and whether all
 *   epochs had been done before
 */
export async function fitEdm(
  run: Run<EdmConfig>,
  dls: DataLoaders<DataLoader>,
  more: (average: PowerEMACB) => Callback[] = () => [],
): Promise<{ model: diffusion.EDMModel; finished: boolean } | null> {
  const { config, files } = run, { accumulate = 1 } = config;
  config.sigmaData ??= await measureSigmaData(dls);
  const model = makeNetwork(config);
  if (config.begin) {
    const { model: begun, hash } = await readEdmModel(config.begin);
    requireSameBeginning(run, hash);
    config.imagesBefore = begun.imagesSeen;
    beginWith(model, begun, imagesOf(config).classes);
    begun.model.dispose();
  }
  // Of other pictures than the weights have seen, rate and averages begin anew.
  const before = config.method === "edm" && !isOfPictures(config)
    ? Math.round((config.imagesBefore ?? 0) / config.batch / accumulate)
    : 0;
  const clip = new GradientClipCB(config.clip),
    averages = config.averages.map((length) => new PowerEMACB(length));
  const encode = async (average?: PowerEMACB, floats: "F16" | "F32" = "F16") => {
    const weights = copyOfWeights(model, average);
    const facts: diffusion.EDMFacts = {
      sigmaData: config.sigmaData!,
      classes: [...imagesOf(config).classes],
      imagesSeen: config.batch * accumulate * (averages[0].moves - before) +
        (config.imagesBefore ?? 0),
      averageLength: average?.length ?? null,
    };
    try {
      return await diffusion.encodeEDMModel(model, facts, { floats, weights });
    } finally {
      tf.dispose(weights);
    }
  };
  const { lr: maxLr, warmup, flat } = config, { cb, lossFunc, lossTitle } = objectiveOf(config);
  const finished = await fitRun(run, {
    model,
    dls,
    optimizer: Adam,
    lossFunc,
    lossTitle,
    cbs: [
      cb,
      ...averages,
      clip,
      ...accumulate > 1 ? [new AccumulateGradCB(accumulate)] : [],
      new GoOnCB(averages, before),
      new KeepAveragesCB(averagesOf(files.dir), averages, encode),
      ...more(averages.at(-1)!),
    ],
    schedule: (opt) => {
      const rate = new InverseSqrtLR(opt, { maxLr, warmup, flat });
      rate.stepNum = before * accumulate; // it moves by batches
      return rate;
    },
    encode: () => encode(averages.at(-1), "F32"),
  });
  for (const cb of [clip, ...averages]) cb.dispose();
  model.dispose();
  if (finished === null) return null;
  return { model: (await readEdmModel(files.weights)).model, finished };
}
