/** The data of the tasks, and how a DDPM gets its images. */
import { type FashionMnist, fashionMnist, transforms } from "../mod.ts";
import { UserError } from "./cli.ts";
import type { TrainConfig } from "./presets.ts";

/** Height and width of Fashion-MNIST's images. */
export const DATA_SIZE = 28;

/** Fashion-MNIST from a directory, or from where it is found. @throws UserError if the directory does not have it. */
export async function loadData(dir: string | undefined): Promise<FashionMnist> {
  return await fashionMnist({ dir }).catch((error) => {
    throw dir === undefined ? error : new UserError(`--data ${error.message}`);
  });
}

/** From bytes to the images of [0, 1] that a DDPM is trained on and measured with. */
export function prepareImages({ size, fit }: TrainConfig): transforms.ImageTransform {
  return transforms.compose(
    transforms.toFloat(),
    fit === "resize" ? transforms.resizeBilinear(size) : transforms.padZeros((size - DATA_SIZE) / 2),
  );
}
