// From a cosine schedule to guided samples: trains a small network that is told classes, and draws ten of each.
import * as d from "../mod.ts";
const { diffusion } = d;

await d.useDevice();
const data = await d.fashionMnist(), classes = d.FASHION_MNIST_CLASSES.length;
const dls = d.DataLoaders.from(d.take(data.train, 6400), d.take(data.test, 256), {
  batchSize: 32,
  transform: d.transforms.compose(d.transforms.toFloat(), d.transforms.resizeBilinear(16)),
});
const model = new d.UNet({
  in_channels: 1,
  out_channels: 1,
  block_out_channels: [16, 32, 32, 32],
  norm_num_groups: 8,
  num_class_embeds: classes + 1, // the last one stands for no class
});
d.initDdpm(model);
const process = diffusion.vp(diffusion.cosineSchedule());
await Deno.writeTextFile("schedule.svg", await diffusion.plotSchedule(process));

const prediction = "v_prediction";
const noising = new diffusion.DiffusionCB({ process, prediction, minSnr: 5, conditions: { classes } });
const learn = new d.TrainLearner(model, dls, {
  lossFunc: diffusion.weightedMseLoss,
  optFunc: (params, lr) => new d.Adam(params, { lr, eps: 1e-5 }),
  lr: 4e-3,
  cbs: [new d.DeviceCB(), noising, new d.MetricsCB(), new d.ProgressCB()],
});
await learn.fit(4);

const told = d.tf.tensor1d(Array.from({ length: 10 * classes }, (_, i) => i % classes), "int32");
const guidance = { scale: 2, none: classes };
const denoise = diffusion.guided(diffusion.denoiser(model, { prediction }), told, guidance);
const images = await diffusion.sample(denoise, [told.size, 16, 16, 1], {
  levels: diffusion.levels(process, 20),
  sampler: diffusion.dpmSolver(),
  clip: [0, 1],
});
const grid = d.imageGrid(images, { columns: classes, scale: 3, invert: true });
await Deno.writeFile("classes.png", d.encodePng(grid));
