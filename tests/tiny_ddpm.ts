/** A learner that is quick to train and leaves nothing out; a module of its own so that other processes can have it. */
import {
  Adam,
  BatchSchedCB,
  type Callback,
  DataLoaders,
  DDPMCB,
  DeviceCB,
  HostArray,
  initDdpm,
  linearSchedule,
  MetricsCB,
  OneCycleLR,
  ProgressCB,
  RecorderCB,
  setSeed,
  TrainLearner,
  UNet,
} from "../mod.ts";

/** A learner of a tiny DDPM, with everything that `deno task train` uses. */
export function tinyDdpm(cbs: Callback[] = [], batches = 4) {
  setSeed(5);
  const images = Float32Array.from({ length: batches * 4 * 64 }, (_, i) => (i * 7919 % 64) / 64);
  const set = {
    images: new HostArray(images, [batches * 4, 8, 8, 1]),
    labels: new HostArray(new Int32Array(batches * 4), [batches * 4]),
  };
  const model = new UNet({
    ...{
      in_channels: 1,
      out_channels: 1,
      block_out_channels: [8, 16],
      layers_per_block: 1,
      norm_num_groups: 4,
    },
    down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
    up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
  });
  initDdpm(model);
  return new TrainLearner(model, DataLoaders.from(set, set, { batchSize: 4 }), {
    optFunc: (params, lr) => new Adam(params, { lr, eps: 1e-5 }),
    lr: 1e-3,
    cbs: [
      ...[new DeviceCB(), new DDPMCB({ schedule: linearSchedule({ nSteps: 50 }) })],
      new BatchSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: 1e-3, totalSteps })),
      ...[Object.assign(new MetricsCB(), { log: () => {} }), new RecorderCB({ loss: (l) => l.loss })],
      ...[new ProgressCB(() => {}), ...cbs],
    ],
  });
}
