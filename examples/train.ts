// Trains a small DDPM on 640 images for one epoch and draws four new ones.
import * as d from "../mod.ts";

await d.useDevice();
const data = await d.fashionMnist();
const dls = d.DataLoaders.from(d.take(data.train, 640), d.take(data.test, 128), {
  batchSize: 32,
  transform: d.transforms.compose(d.transforms.toFloat(), d.transforms.resizeBilinear(16)),
});
const model = new d.UNet({
  in_channels: 1,
  out_channels: 1,
  block_out_channels: [8, 16, 16, 16],
  norm_num_groups: 4,
});
d.initDdpm(model);
const schedule = d.linearSchedule({ nSteps: 200 });
const learn = new d.TrainLearner(model, dls, {
  optFunc: (params, lr) => new d.Adam(params, { lr, eps: 1e-5 }),
  lr: 5e-3,
  cbs: [new d.DeviceCB(), new d.DDPMCB({ schedule }), new d.MetricsCB(), new d.ProgressCB()],
});
await learn.fit(1);
const images = await d.sample(model, [4, 16, 16, 1], { schedule, keep: (t) => t === 0 });
await Deno.writeFile("samples.png", d.encodePng(d.imageGrid(images[0], { scale: 4, invert: true })));
