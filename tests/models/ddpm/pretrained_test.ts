/** The network that ships. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { pretrained } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";
import { drawPretrained } from "../../tiny.ts";

Deno.test({
  name: "pretrained draws clothes: dark around, bright within, no two alike",
  ...wasmOnly,
  async fn() {
    const pixels = (await drawPretrained(2, 10, 3)).at(-1)!;
    const mean = pixels.reduce((a, b) => a + b, 0) / pixels.length;
    assert(mean > 64 && mean < 250, `mean ${mean}`); // inverted: the background is white
    const bright = pixels.filter((v) => v > 200).length / pixels.length;
    assert(bright > 0.2 && bright < 0.95, `${bright} of the pixels are background`);
    const other = (await drawPretrained(2, 10, 4)).at(-1)!;
    assert(String(other) !== String(pixels));
  },
});

Deno.test("pretrained: the lesson's network, and its weights' address in an error", async () => {
  const { model, schedule, size } = await pretrained();
  assertEquals([model.parameterCount(), schedule.nSteps, size], [1_695_457, 1000, 32]);
  model.dispose();
  const missing = new URL("./nowhere.safetensors", import.meta.url);
  await assertRejects(() => pretrained(missing), Error, "nowhere.safetensors");
});
