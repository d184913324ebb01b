/** showImageBatch, and showImages of core. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  Callback,
  DDPMCB,
  defaultGenerator,
  Dropout,
  Flatten,
  HostArray,
  type Learner,
  Linear,
  type Module,
  resnet,
  Sequential,
  setSeed,
  showImages,
} from "../../mod.ts";
import { numbers } from "../support.ts";
import { imageLearner } from "../images.ts";
import { line } from "./lines.ts";

/** Parameters and running statistics, as one text: a million numbers are too many to tell a difference of. */
async function snapshot(model: Module): Promise<string> {
  return (await Promise.all(Object.values(model.stateDict()).map(numbers))).join();
}

Deno.test("showImages and learn.showImageBatch: an image and a title each; nothing is learnt", async () => {
  const images = new HostArray(new Float32Array(3 * 5 * 4), [3, 5, 4, 1]);
  const svg = showImages(images, { titles: ["a<b", "c", "d"], columns: 2, scale: 10 });
  assertEquals(svg.match(/<image /g)!.length, 3);
  assertMatch(svg, />a&lt;b<\/text>/);
  assertMatch(svg, /^<svg [^>]*width="98" height="150"/);
  assertThrows(() => showImages(images, { titles: ["one"] }), Error, "1 titles for 3 images");
  const model = resnet.getModel4(), before = await snapshot(model);
  const shown = await (await imageLearner(model)).showImageBatch({ n: 5, classes: ["above", "below"] });
  assertEquals(shown.match(/>(above|below)<\/text>/g)!.length, 5);
  assert(await snapshot(model) === before, "the model has changed");
  const noised = await (await imageLearner(model, [new DDPMCB()])).showImageBatch();
  assertEquals([noised.match(/<image /g)!.length, noised.includes("<text")], [16, false]);
  const large = new HostArray(Float32Array.from({ length: 400 * 400 }, Math.random), [1, 400, 400, 1]);
  assertMatch(showImages(large), /^<svg/);
});

Deno.test("learn.showImageBatch inside and beside a fit, and before it: all goes on as without", async () => {
  const run = async (when: "never" | "before" | "inside" | "beside") => {
    setSeed(3);
    class Noise extends Callback {
      override beforeBatch() {
        defaultGenerator.uniform([4]);
      }
    }
    const model = new Sequential(new Flatten(), new Dropout(0.2), new Linear(784, 2));
    const learn = await imageLearner(model, [new Noise()]);
    class Show extends Callback {
      override async afterLoss(l: Learner) {
        if (l.training && l.iter === 0) shown.push(await l.showImageBatch());
      }
      override inTrials() {
        return false;
      }
    }
    const shown: string[] = [];
    learn.model.eval();
    if (when === "before") shown.push(await learn.showImageBatch(), await learn.showImageBatch());
    assert(!learn.model.training);
    if (when === "inside") learn.cbs.push(new Show());
    const fit = learn.fit(2);
    if (when === "beside") shown.push(await learn.showImageBatch());
    await fit;
    return [shown.length, learn.dls.train.state!(), defaultGenerator.state, await snapshot(learn.model)];
  };
  const [, ...plain] = await run("never");
  assertEquals(await run("before"), [2, ...plain]);
  assertEquals(await run("inside"), [2, ...plain]);
  assertEquals(await run("beside"), [1, ...plain]);
});

Deno.test("showImageBatch shows a positive whole number of images", async () => {
  const learn = await line([]);
  for (const n of [0, -1, 2.5]) {
    await assertRejects(
      () => learn.showImageBatch({ n }),
      RangeError,
      `n is a positive whole number, not ${n}`,
    );
  }
});
