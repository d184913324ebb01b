/** showImageBatch, and showImages of core. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { DDPMCB, HostArray, type Module, resnet, showImages } from "../../mod.ts";
import { numbers } from "../support.ts";
import { imageLearner } from "../images.ts";

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
