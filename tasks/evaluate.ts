/** `deno task evaluate`: the noise-prediction loss of a trained model on the whole test set, over several draws. */
import { breathe, progressBar } from "../core/mod.ts";
import {
  DataLoader,
  type Dataset,
  diffusion,
  F,
  Generator,
  noGrad,
  noisify,
  type Tensor,
  tf,
  type transforms,
} from "../mod.ts";
import {
  command as makeCommand,
  main,
  MAX_SEED,
  number,
  parse,
  path,
  runName,
  UsageError,
  UserError,
  whole,
} from "./cli.ts";
import { imagesOf, loadData, prepareImages } from "./data.ts";
import { type CommonOptions, startDevice, withCommonOptions } from "./device.ts";
import { prepareEdm } from "./edm.ts";
import { openPictures } from "./images.ts";
import {
  chooseModel,
  type ChosenDdpm,
  type ChosenEdm,
  makeSchedule,
  type ModelOptions,
  pretrainedOption,
} from "./models.ts";
import { requireReadable } from "./paths.ts";
import { isOfPictures } from "./presets.ts";
import { endOnStop } from "./stop.ts";

const command = withCommonOptions(
  makeCommand(
    "evaluate",
    "Mean squared error of the predicted noise on test images, or on those that a run of other pictures holds back, by draws of t and ε",
  ),
)
  .option("--run <name>", "the run (default: the newest, or a model that ships where there is none)", runName)
  .option(
    "--average <length>",
    "measure an average of the weights of this length (edm, ect)",
    number(0.001, 0.288),
  )
  .addOption(pretrainedOption("measure"))
  .option("--draws <n>", "draws of t and ε for each image", whole(1, 1000), 5)
  .option("--data <dir>", "directory of the four IDX files (default: where they are found)", path)
  .option("--seed <n>", "fixes the draws", whole(0, MAX_SEED), 1);

interface Options extends CommonOptions, ModelOptions {
  draws: number;
  data?: string;
  seed: number;
}

/** How a model's images are made, and the loss of a batch of them with their classes. */
interface Measure {
  transform: transforms.ImageTransform;
  loss(x: Tensor, labels: Tensor | undefined, generator: Generator): Tensor;
}

async function measure(chosen: ChosenDdpm | ChosenEdm): Promise<Measure> {
  if (chosen.kind === "ddpm") {
    const model = (await chosen.load()).eval(), schedule = makeSchedule(chosen.config);
    return {
      transform: prepareImages(chosen.config),
      loss(x, _, generator) {
        const [input, ε] = noisify(x, schedule, { generator });
        return F.mseLoss(model.call(input), ε);
      },
    };
  }
  const { meanLogSigma, stdLogSigma } = chosen.config, { model, sigmaData } = await chosen.load();
  const edm = new diffusion.EDMCB({ sigmaData, meanLogSigma, stdLogSigma });
  const told = imagesOf(chosen.config).classes.length > 0;
  model.eval();
  return {
    transform: prepareEdm,
    loss(x, labels, generator) {
      const [input, target] = edm.noisify(x, generator);
      return F.mseLoss(model.call(told && labels ? [...input, labels] : input), target);
    },
  };
}

/**
 * The images to measure a model with: those that its run was evaluated on, where they are its own pictures.
 * @throws UsageError for `--data` with a run of other pictures.
 */
async function openTest(
  { config, title, kind }: ChosenDdpm | ChosenEdm,
  data: string | undefined,
): Promise<{ test: Dataset; close(): void } | null> {
  if (kind === "ddpm" || !isOfPictures(config)) {
    return data === undefined ? null : { test: (await loadData(data)).test, close() {} };
  }
  if (data !== undefined) throw new UsageError(`--data ${data}: ${title} is of ${config.images}`);
  return await openPictures(config);
}

/** `deno task evaluate`. */
export async function evaluate(args: string[]): Promise<void> {
  const options = parse<Options>(command, args, ["runs", "data"]);
  if (options.data !== undefined) await requireReadable("--data", options.data);
  const chosen = await chooseModel(options);
  const given = await openTest(chosen, options.data);
  try {
    await startDevice(command);
    await evaluateOn(chosen, given?.test, options);
  } finally {
    given?.close();
  }
}

/** Measures a model with images, by default Fashion-MNIST's. */
async function evaluateOn(
  chosen: ChosenDdpm | ChosenEdm,
  given: Dataset | undefined,
  options: Options,
): Promise<void> {
  const { title } = chosen, { transform, loss: lossOf } = await measure(chosen);
  const test = given ?? (await loadData(undefined)).test;
  const generator = new Generator(options.seed);
  const losses: number[] = [];
  const shown = () => losses.map((l) => l.toFixed(5)).join(", ");
  await endOnStop(() =>
    losses.length
      ? `Stopped after ${losses.length} of ${options.draws} draws. ${title}: ${shown()}`
      : "Stopped: no draw was measured"
  );
  for (let draw = 1; draw <= options.draws; draw++) {
    const loader = new DataLoader(test, { batchSize: 250, transform });
    const bar = progressBar(`draw ${draw} of ${options.draws}`, loader.length);
    let sum = 0, measured = 0, done = 0;
    for await (const [images, labels] of loader) {
      const loss = noGrad(() =>
        tf.tidy(() => {
          const x = images.toTensor();
          return tf.mul(lossOf(x, labels?.toTensor("int32"), generator), x.shape[0]);
        })
      );
      sum += (await loss.data())[0];
      loss.dispose();
      measured += images.shape[0];
      bar.update(++done, `mean so far ${(sum / measured).toFixed(5)}`);
      await breathe();
    }
    bar.stop();
    losses.push(sum / test.length);
  }
  const mean = losses.reduce((a, b) => a + b) / losses.length;
  if (!Number.isFinite(mean)) {
    throw new UserError(`The loss of ${title} is ${mean}: its weights have diverged`);
  }
  console.log(`${title}: ${shown()}`);
  console.log(`mean over ${losses.length} draws of ${test.length} test images: ${mean.toFixed(5)}`);
}

if (import.meta.main) await main(evaluate);
