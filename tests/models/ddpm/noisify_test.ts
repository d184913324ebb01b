/** Noising against reference tensors (tests/golden/schedules.safetensors). */
import { assert, assertEquals } from "@std/assert";
import { decodeSafetensors, Generator, linearSchedule, noisify, tf } from "../../../mod.ts";
import { assertClose, numbers } from "../../support.ts";

const { tensors: golden } = decodeSafetensors(
  await Deno.readFile(new URL("../../golden/schedules.safetensors", import.meta.url)),
);

Deno.test("golden: noisify at given timesteps and noise", async () => {
  const nhwc = (name: string) => tf.transpose(golden[name].toTensor(), [0, 2, 3, 1]);
  const t = Int32Array.from(golden["noisify.t"].data);
  const [[xt, ts], ε] = noisify(nhwc("noisify.x0"), linearSchedule().ᾱ, { t, noise: nhwc("noisify.eps") });
  await assertClose(xt, nhwc("noisify.xt"), 1e-5);
  await assertClose(ε, nhwc("noisify.eps"), 0);
  assertEquals(await numbers(ts), [...t]);
});

Deno.test("noisify draws every timestep, and unit noise", async () => {
  const schedule = linearSchedule({ nSteps: 10 });
  const [[xt, t], ε] = noisify(tf.zeros([500, 4, 4, 1]), schedule.ᾱ, { generator: new Generator(1) });
  const ts = await numbers(t);
  assertEquals(new Set(ts).size, 10);
  assert(Math.min(...ts) === 0 && Math.max(...ts) === 9);
  const noise = await numbers(ε), x = await numbers(xt);
  const variance = noise.reduce((s, v) => s + v * v, 0) / noise.length;
  assert(Math.abs(variance - 1) < 0.05);
  await assertClose(x, noise.map((v, i) => v * Math.sqrt(1 - schedule.ᾱ[ts[Math.floor(i / 16)]])), 1e-5);
});
