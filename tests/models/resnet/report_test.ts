/** Reports on predictions. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Dropout,
  Flatten,
  HostArray,
  Linear,
  type Module,
  resnet,
  Sequential,
  type Tensor,
} from "../../../mod.ts";
import "../../support.ts";
import { imageLearner } from "../../images.ts";

Deno.test("predict: mean probabilities, confidence and spread over passes, by hand", () => {
  const pass = (...v: number[]) => new HostArray(Float32Array.from(v, Math.log), [2, 2]);
  const { probabilities, predicted, confidence, spread } = resnet.predict([
    pass(0.9, 0.1, 0.4, 0.6),
    pass(0.5, 0.5, 0.2, 0.8),
  ]);
  const near = (a: ArrayLike<number>, b: number[]) =>
    b.forEach((v, i) => assert(Math.abs(a[i] - v) < 1e-6, `${a[i]}`));
  near(probabilities.data, [0.7, 0.3, 0.3, 0.7]);
  assertEquals(Array.from(predicted), [0, 1]);
  near(confidence, [0.7, 0.7]);
  near(spread, [0.2, 0.1]);
  assertThrows(() => resnet.predict([]), Error, "one pass at least");
  assertThrows(
    () => resnet.predict([pass(1, 1, 1, 1), new HostArray(new Float32Array(2), [1, 2])]),
    Error,
    "differ",
  );
});

Deno.test("confusion, accuracy by class, calibration", () => {
  const labels = [0, 0, 1, 1, 1, 2], predicted = Int32Array.of(0, 1, 1, 1, 2, 2);
  const matrix = resnet.confusionMatrix(predicted, labels, 3);
  assertEquals(matrix, [[1, 1, 0], [0, 2, 1], [0, 0, 1]]);
  assertEquals(resnet.classAccuracy(matrix), [1 / 2, 2 / 3, 1]);
  const confidence = Float32Array.of(0.5, 0.25, 0.75, 1, 0.375, 0.875);
  const [low, high] = resnet.calibration({ predicted, confidence }, labels, 2);
  assertEquals(low, { confidence: 0.375, accuracy: 1 / 3, count: 3 });
  assertEquals(high, { confidence: 0.875, accuracy: 1, count: 3 });
});

Deno.test("testTimeDropout: passes differ, their spread is above 0; without dropout it is 0", async () => {
  const spread = async (model: Module) => {
    const [prediction, targets] = await resnet.testTimeDropout(await imageLearner(model), 3);
    assertEquals([prediction.predicted.length, targets.shape], [16, [16]]);
    return Math.max(...prediction.spread);
  };
  const small = (...layers: Module<[Tensor], Tensor>[]) =>
    new Sequential(new Flatten(), ...layers, new Linear(784, 10));
  assert(await spread(small(new Dropout(0.4))) > 1e-3);
  assert(await spread(small()) < 1e-6);
});
