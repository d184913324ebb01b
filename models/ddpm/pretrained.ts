/** The lesson's network, which ships with Denoise. */
import { loadWeights, readBytes } from "../../core/mod.ts";
import { UNet } from "./model.ts";
import { linearSchedule, type Schedule } from "./schedule.ts";

const WEIGHTS = new URL("./weights/fashion_mnist.safetensors", import.meta.url);

/** A trained network and how to draw with it. */
export interface Pretrained {
  /** The network. */
  model: UNet;
  /** The schedule it was trained on. */
  schedule: Schedule;
  /** Height and width of its images. */
  size: number;
}

/**
 * The lesson's U-Net, (16,32,64,64) channels, trained with the preset `lesson` on all of Fashion-MNIST: 1000 steps,
 * images of 32×32 in [0,1].
 * @param weights where they are; default beside this module
 * @throws Error that names the address, if they are not there.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { pretrained, respace, sample, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const { model, schedule, size } = await pretrained();
 * const [images] = await sample(model, [2, size, size, 1], { schedule: respace(schedule, 3), keep: (t) => t === 0 });
 * assert(images.shape.join() === "2,32,32,1");
 * ```
 */
export async function pretrained(weights: URL = WEIGHTS): Promise<Pretrained> {
  const model = new UNet({
    sample_size: 32,
    in_channels: 1,
    out_channels: 1,
    block_out_channels: [16, 32, 64, 64],
    norm_num_groups: 8,
  });
  await loadWeights(model, await readBytes(weights));
  return { model, schedule: linearSchedule(), size: 32 };
}
