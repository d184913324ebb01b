// Trains a small network on the pictures in a folder, which is its argument, and draws sixteen new ones.
import * as d from "../mod.ts";
const { diffusion } = d;

await d.useDevice();
using pictures = await d.imageFolder(Deno.args[0], { size: 32, crop: "random" });
const order = new d.Generator(0).permutation(pictures.length), held = Math.ceil(pictures.length / 10);
const train = d.subset(pictures, order.subarray(held)), valid = d.subset(pictures, order.subarray(0, held));
const changes = { transform: d.transforms.toFloat(-1, 1), augment: d.transforms.randomFlip() };
const dls = d.DataLoaders.from(train, valid, { batchSize: 16, ...changes });
const model = new d.UNet({ in_channels: 3, out_channels: 3, block_out_channels: [32, 64, 64, 64] });
d.initDdpm(model);
const process = diffusion.vp(diffusion.cosineSchedule()), prediction = "v_prediction";
const noising = new diffusion.DiffusionCB({ process, prediction, minSnr: 5 });
const learn = new d.TrainLearner(model, dls, {
  lossFunc: diffusion.weightedMseLoss,
  lr: 1e-3,
  cbs: [new d.DeviceCB(), noising, new d.MetricsCB(), new d.ProgressCB()],
});
await learn.fit(20);
const draw = { levels: diffusion.levels(process, 20), sampler: diffusion.dpmSolver() };
const images = await diffusion.sample(diffusion.denoiser(model, { prediction }), [16, 32, 32, 3], draw);
await Deno.writeFile("drawn.png", d.encodePng(d.imageGrid(images, { range: [-1, 1], scale: 3 })));
