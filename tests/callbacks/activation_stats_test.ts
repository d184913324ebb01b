/** ActivationStats. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { ActivationStats, GeneralRelu, HooksCallback, resnet, type Tensor, tf } from "../../mod.ts";
import "../support.ts";
import { imageLearner } from "../images.ts";

Deno.test("ActivationStats: mean, spread and histogram of every batch, as numbers and pictures", async () => {
  const outputs: number[][] = [];
  const stats = new ActivationStats({ modFilter: (m) => m instanceof GeneralRelu });
  const watch = new HooksCallback(({ name, output }) => {
    if (name === "0.2") outputs.push(Array.from((output as Tensor).dataSync()));
  });
  const learn = await imageLearner(resnet.getModel4());
  await learn.fit(1, { cbs: [stats, ...(tf.getBackend() === "wasm" ? [watch] : [])] });
  assertEquals(stats.stats.size, stats.modules.length);
  const { means, stds, histograms } = stats.stats.get("0.2")!;
  assertEquals([means.length, stds.length, histograms.length], [2, 2, 2]);
  outputs.forEach((out, b) => {
    const mean = out.reduce((s, v) => s + v, 0) / out.length;
    const std = Math.sqrt(out.reduce((s, v) => s + (v - mean) ** 2, 0) / out.length);
    assert(Math.abs(means[b] - mean) < 1e-4 && Math.abs(stds[b] - std) < 1e-4);
    assertEquals(histograms[b].reduce((a, c) => a + c, 0), out.length);
    assertEquals(histograms[b][1], out.filter((v) => Math.abs(v) >= 0.25 && Math.abs(v) < 0.5).length);
  });
  const picture = stats.colorDim(1);
  assert(picture.width > 2 && picture.height > 40);
  assertMatch(await stats.deadChart(), /^<svg/);
  assertMatch((await stats.plotStats()).means, /^<svg/);
  assertThrows(() => new ActivationStats().colorDim(), Error, "no activations yet");
});
