/** The networks of classes that ship. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { diffusion } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";
import { drawOfClasses } from "../../tiny.ts";

const { PRETRAINED, pretrained } = diffusion;

Deno.test(
  "every network that ships is of ten classes, trained, and within what may ship",
  wasmOnly,
  async () => {
    const docs = (await Deno.readTextFile(new URL("../../../docs/training.md", import.meta.url))).replaceAll(
      "\n",
      " ",
    );
    let bytes = 0;
    for (const name of Object.keys(PRETRAINED) as diffusion.PretrainedName[]) {
      const { model, name: own, size, classes, imagesSeen, averageLength, inSteps } = await pretrained(name);
      assertEquals([own, size, classes.length, classes[7]], [name, 28, 10, "Sneaker"]);
      assert(imagesSeen >= 60_000 && averageLength !== null, `${name} has seen ${imagesSeen} images`);
      assertEquals(inSteps(3).levels.length, 4);
      assert(
        docs.includes(`has seen ${imagesSeen.toLocaleString("en")} images`),
        "docs/training.md tells another number",
      );
      bytes += (await Deno.stat(PRETRAINED[name].weights)).size;
      model.dispose();
    }
    assert(bytes < 8e6, `${bytes} bytes`);
  },
);

Deno.test("pretrained draws the class that it is told", wasmOnly, async () => {
  const TROUSER = 1, BAG = 8, n = 4;
  const dark = async (label: number) => {
    const pixels = (await drawOfClasses({ n, steps: 8, seed: 3, class: label, guidance: 2 })).at(-1)!;
    return pixels.filter((v) => v < 200).length / pixels.length;
  };
  const trousers = await dark(TROUSER), bags = await dark(BAG);
  // Bags fill the picture, trousers do not.
  assert(trousers > 0.05 && trousers < 0.4, `trousers: ${trousers}`);
  assert(bags > 0.3 && bags < 0.9 && bags > 1.3 * trousers, `bags: ${bags}`);
});

Deno.test(
  "a name that ships not, a file that is not there and one that is another are told",
  wasmOnly,
  async () => {
    await assertRejects(() => pretrained("ddpm" as never), RangeError, "pretrained: there is edm");
    await assertRejects(() => pretrained("toString" as never), RangeError, "not toString");
    const missing = new URL("./nowhere.safetensors", import.meta.url);
    await assertRejects(() => pretrained("edm", { weights: missing }), Error, `Could not read ${missing}: `);
    const bytes = await Deno.readFile(PRETRAINED.edm.weights);
    bytes[bytes.length - 1] ^= 1;
    const damaged = new URL(URL.createObjectURL(new Blob([bytes])));
    const error = await assertRejects(() => pretrained("edm", { weights: damaged }), Error);
    assert(error.message.includes("is not the file of the network edm that ships here"));
    assert(error.message.includes(`, not ${PRETRAINED.edm.sha256}: it is damaged`));
    URL.revokeObjectURL(damaged.href);
  },
);
