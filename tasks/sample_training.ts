/** Pictures that a network draws while it is trained. */
import { writeFile } from "../core/mod.ts";
import { Callback, diffusion, Generator, type Learner, type PowerEMACB, tf, unet } from "../mod.ts";
import { imagesOf } from "./data.ts";
import { type Drawable, drawableEdm, drawGrid } from "./draw_diffusion.ts";
import { copyOfWeights } from "./edm.ts";
import type { EdmConfig } from "./presets.ts";
import type { RunFiles } from "./runs.ts";

/** Draws with a network as it is in training, with an average of its weights in place of them. */
export async function drawAverage<T>(
  config: EdmConfig,
  model: unet.PatchUNet,
  average: PowerEMACB,
  body: (drawable: Drawable) => Promise<T>,
): Promise<T> {
  const network = new unet.PatchUNet(model.config), weights = copyOfWeights(model, average);
  network.loadStateDict(weights);
  tf.dispose(weights);
  const { classes, inverted } = imagesOf(config);
  const denoise = diffusion.denoiser(network, { prediction: "edm", sigmaData: config.sigmaData });
  const known = { denoise, classes: [...classes], model: network };
  try {
    return await body(drawableEdm(known, { few: config.method === "ect", inverted }));
  } finally {
    network.dispose();
  }
}

/** Draws each few epochs of the same noise: `samples/0005.png` after the fifth epoch, and the newest as `samples.png`. */
export class RunSamples extends Callback {
  /** After the averages of the epoch are kept. */
  override order = 95;
  constructor(readonly config: EdmConfig, readonly files: RunFiles, readonly average: PowerEMACB) {
    super();
  }
  override async afterEpoch(learn: Learner): Promise<void> {
    const { config, files } = this, { sampleEvery = 0, samples } = config, epoch = learn.epoch + 1;
    if (learn.training || !learn.current.train || !sampleEvery || !samples || epoch % sampleEvery) return;
    const drawing = { n: samples, generator: new Generator(config.seed) };
    const png = await drawAverage(
      config,
      learn.model as unet.PatchUNet,
      this.average,
      (drawable) => drawGrid(drawable, drawing),
    );
    const dir = `${files.dir}/samples`;
    await Deno.mkdir(dir, { recursive: true });
    await writeFile(`${dir}/${String(epoch).padStart(4, "0")}.png`, png);
    await writeFile(files.samples, png);
  }
  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }
}
