/** Pictures of what a classifier got right and wrong. */
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { HostArray, resnet } from "../../../mod.ts";
import "../../support.ts";

const CLASSES = ["shirt", "shoe", "bag"];

Deno.test("leastConfident and mostWrong: numbers of items, the worst first", () => {
  const confidence = Float32Array.of(0.9, 0.4, 0.6);
  assertEquals(resnet.leastConfident({ confidence }, 2), [1, 2]);
  const probabilities = new HostArray(Float32Array.of(0.9, 0.1, 0.3, 0.7, 0.5, 0.5), [3, 2]);
  assertEquals(resnet.mostWrong({ probabilities }, [1, 0, 0], 2), [0, 1]);
});

Deno.test("showPredictions: each picked image with what it was taken for, and what it is where that is wrong", () => {
  const images = new HostArray(new Uint8Array(3 * 4), [3, 2, 2, 1]);
  const prediction = { predicted: Int32Array.of(0, 1, 1), confidence: Float32Array.of(0.9, 0.4, 0.6) };
  const svg = resnet.showPredictions(images, [0, 2, 1], prediction, [1, 0], CLASSES);
  assertEquals([...svg.matchAll(/>([^<>]+)<\/text>/g)].map(([, text]) => text), [
    "shoe 40% (bag)",
    "shirt 90%",
  ]);
  assertEquals(svg.match(/<image /g)!.length, 2);
  for (const i of [3, -1]) {
    const show = () => resnet.showPredictions(images, [0, 2, 1], prediction, [i], CLASSES);
    assertThrows(show, RangeError, `3 images have none at ${i}`);
  }
});

Deno.test("confusionPlot and calibrationPlot are SVG documents with their numbers", async () => {
  const svg = await resnet.confusionPlot([[11, 1, 0], [0, 13, 1], [0, 0, 17]], CLASSES);
  assertMatch(svg, /^<svg/);
  for (const text of [...CLASSES, "11", "13", "17"]) assertMatch(svg, new RegExp(`>${text}</text>`));
  assertMatch(await resnet.confusionPlot([[0, 0, 0], [0, 1, 0], [0, 0, 1]], CLASSES), /^<svg(?!.*NaN)/);
  assertThrows(() => resnet.confusionPlot([[1]], CLASSES), RangeError, "3 names of 1 classes");
  const bins = [{ confidence: 0.5, accuracy: 0.4, count: 5 }, { confidence: 0.9, accuracy: 1, count: 5 }];
  assertMatch(await resnet.calibrationPlot(bins), /^<svg[^]*mean confidence/);
});
