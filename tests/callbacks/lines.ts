/** Data and learners of straight lines, which tests of callbacks share. */
import {
  ArrayDataset,
  type Callback,
  type DataLoader,
  DataLoaders,
  DeviceCB,
  HostArray,
  type Learner,
  Linear,
  type Metric,
  MetricsCB,
  SGD,
  tf,
  TrainLearner,
} from "../../mod.ts";
import { numbers, random } from "../support.ts";

/** 22 random points in batches of 4 (the last of 2), 6 to evaluate on. */
export async function points(): Promise<DataLoaders<DataLoader>> {
  const set = async (n: number, seed: number) =>
    new ArrayDataset(
      new HostArray(Float32Array.from(await numbers(random([n, 3], seed))), [n, 3]),
      new HostArray(Float32Array.from(await numbers(random([n, 1], seed + 1))), [n, 1]),
    );
  return DataLoaders.from(await set(22, 1), await set(6, 5), { batchSize: 4, seed: 3 });
}

/** Twenty-four points of y = Σx to train on in order, eight to evaluate on. */
export async function sums(batchSize = 8): Promise<DataLoaders<DataLoader>> {
  const set = async (n: number, seed: number) => {
    const x = Float32Array.from(await numbers(random([n, 3], seed)));
    const y = Float32Array.from({ length: n }, (_, i) => x[3 * i] + x[3 * i + 1] + x[3 * i + 2]);
    return new ArrayDataset(new HostArray(x, [n, 3]), new HostArray(y, [n, 1]));
  };
  return DataLoaders.from(await set(24, 1), await set(8, 2), { batchSize, shuffle: false });
}

/** A learner of {@link sums} with SGD, always from the same weights. */
export async function line(
  cbs: Callback[],
  { lr = 0.05, batchSize = 8 } = {},
): Promise<TrainLearner<Linear>> {
  const model = new Linear(3, 1);
  model.weight.assign(tf.tensor2d([[0.5, -0.5, 2]]));
  model.bias!.assign(tf.tensor1d([0.25]));
  return new TrainLearner(model, await sums(batchSize), {
    lr,
    optFunc: (params, lr) => new SGD(params, { lr }),
    cbs: [new DeviceCB(), ...cbs],
  });
}

/** The weights of a learner of {@link line}. */
export function weights(learn: Learner): Promise<number[]> {
  return numbers((learn.model as Linear).weight);
}

/** A MetricsCB that prints nothing. */
export function quiet(metrics?: Record<string, Metric>): MetricsCB {
  return Object.assign(new MetricsCB(metrics), { log: () => {} });
}
