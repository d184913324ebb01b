/** Data and learners of small images in two classes, which tests share. */
import {
  AdamW,
  type Callback,
  DataLoaders,
  DeviceCB,
  F,
  HostArray,
  type Module,
  TrainLearner,
} from "../mod.ts";
import { numbers, random } from "./support.ts";

/** n images of 28×28 in two classes: bright above or bright below. */
async function halves(n: number, seed: number) {
  const noise = await numbers(random([n, 28, 28, 1], seed));
  const labels = Int32Array.from({ length: n }, (_, i) => i % 2);
  const images = Float32Array.from(noise, (v, i) => {
    const image = Math.floor(i / 784), top = i % 784 < 392;
    return 0.3 * v + (top === (labels[image] === 0) ? 1 : 0);
  });
  return { images: new HostArray(images, [n, 28, 28, 1]), labels: new HostArray(labels, [n]) };
}

/** A learner of a classifier of {@link halves}. */
export async function imageLearner(model: Module, cbs: Callback[] = []): Promise<TrainLearner> {
  const dls = DataLoaders.from(await halves(32, 1), await halves(16, 2), { batchSize: 16 });
  return new TrainLearner(model, dls, {
    lossFunc: F.crossEntropy,
    lr: 3e-3,
    optFunc: (params, lr) => new AdamW(params, { lr }),
    cbs: [new DeviceCB(), ...cbs],
  });
}
