/** Scores of what a network draws while it is trained. */
import {
  type Callback,
  type DataLoader,
  type DataLoaders,
  type PowerEMACB,
  scores,
  type unet,
} from "../mod.ts";
import type { EdmConfig } from "./presets.ts";
import { updateFile } from "./runs.ts";
import { drawAverage } from "./sample_training.ts";
import { classesOf, draw, floorOf, referenceOf } from "./score_draw.ts";
import type { Run } from "./training.ts";

/**
 * Scores of a run's pictures each few epochs, beside its training images: printed, and written to `scores.jsonl`.
 * @returns the callback, given the average of the weights to draw with
 */
export async function scoresOf(
  { config, files }: Run<EdmConfig>,
  { train, valid }: DataLoaders<DataLoader>,
  every: number,
): Promise<(average: PowerEMACB) => Callback[]> {
  const features = await scores.classifierFeatures();
  const reference = await referenceOf(features, train.dataset, config.dataHash!);
  const evaluation = new scores.ImageEval(features, reference, { range: [-1, 1] });
  const floor = await floorOf(features, reference, valid.dataset, config.scoreN!);
  console.log(`FID of ${floor.n} test images: ${floor.fid.toFixed(4)}`);
  return (average) => [new RunScores({ evaluation, every, n: config.scoreN }, config, files.dir, average)];
}

/** Draws as the config's network does by itself. */
class RunScores extends scores.ScoreCB {
  constructor(
    options: Omit<scores.ScoreCBOptions, "draw">,
    config: EdmConfig,
    dir: string,
    average: PowerEMACB,
  ) {
    super({
      ...options,
      draw: ({ model }, n, generator, from) =>
        drawAverage(config, model as unet.PatchUNet, average, async (drawable) => {
          const labels = classesOf(drawable, from, n), { sampler, steps } = drawable;
          return { images: await draw(drawable, labels, { sampler, steps, guidance: 1 }, generator), labels };
        }),
    });
    this.log = async (row) => {
      console.log(scores.showScores(row));
      await updateFile(`${dir}/scores.jsonl`, this.rows.map((row) => JSON.stringify(row) + "\n").join(""));
    };
  }

  /** As any other's: its rows go on. */
  override get stateName(): string {
    return "ScoreCB";
  }
}
