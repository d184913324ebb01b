/** Reports on predictions. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  DataLoader,
  DataLoaders,
  DeviceCB,
  Dropout,
  F,
  Flatten,
  HostArray,
  Linear,
  type Loader,
  type Module,
  resnet,
  Sequential,
  type Tensor,
  TrainLearner,
} from "../../../mod.ts";
import "../../support.ts";
import { imageLearner } from "../../images.ts";

Deno.test("averagePasses: mean probabilities, confidence and spread over passes, by hand", () => {
  const pass = (...v: number[]) => new HostArray(Float32Array.from(v, Math.log), [2, 2]);
  const { probabilities, predicted, confidence, spread } = resnet.averagePasses([
    pass(0.9, 0.1, 0.4, 0.6),
    pass(0.5, 0.5, 0.2, 0.8),
  ]);
  const near = (a: ArrayLike<number>, b: number[]) =>
    b.forEach((v, i) => assert(Math.abs(a[i] - v) < 1e-6, `${a[i]}`));
  near(probabilities.data, [0.7, 0.3, 0.3, 0.7]);
  assertEquals(Array.from(predicted), [0, 1]);
  near(confidence, [0.7, 0.7]);
  near(spread, [0.2, 0.1]);
  assertThrows(() => resnet.averagePasses([]), Error, "one pass at least");
  assertThrows(
    () => resnet.averagePasses([pass(1, 1, 1, 1), new HostArray(new Float32Array(2), [1, 2])]),
    Error,
    "takes logits [N,classes], of one shape",
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

Deno.test("reports refuse labels, predictions and numbers that do not go together, which gave NaN or holes", () => {
  const { calibration, confusionMatrix, leastConfident, mostWrong } = resnet;
  for (const wrong of [3, -1, 0.5, NaN]) {
    assertThrows(() => confusionMatrix([0, wrong], [0, 1], 3), RangeError, `[0, 3), not ${wrong} at place 1`);
    assertThrows(() => confusionMatrix([0, 1], [0, wrong], 3), RangeError, `[0, 3), not ${wrong} at place 1`);
  }
  assertThrows(() => confusionMatrix([0], [0, 1], 3), RangeError, "There are 1 predictions of 2 items");
  const predicted = Int32Array.of(0, 1), confidence = Float32Array.of(0.5, 0.25);
  assertThrows(() => calibration({ predicted, confidence }, [0]), RangeError, "1 labels of 2 items");
  assertThrows(() => calibration({ predicted, confidence }, [0, 1], 0), RangeError, "not 0");
  assertEquals(calibration({ predicted, confidence }, [0, 0]), [
    { confidence: 0.25, accuracy: 0, count: 1 },
    { confidence: 0.5, accuracy: 1, count: 1 },
  ]);
  const probabilities = new HostArray(Float32Array.of(0.9, 0.1), [1, 2]);
  assertThrows(
    () => mostWrong({ probabilities }, [2], 1),
    RangeError,
    "labels are whole numbers in [0, 2), not 2",
  );
  for (const n of [-1, 0.5]) {
    assertThrows(() => leastConfident({ confidence }, n), RangeError, `not ${n}`);
    assertThrows(() => mostWrong({ probabilities }, [0], n), RangeError, `not ${n}`);
  }
  assertEquals(resnet.classAccuracy([[1, 1], [0, 0]]), [0.5, NaN]);
});

Deno.test("testTimeDropout refuses a loader that shuffles, and a number of passes that is none", async () => {
  const learn = await imageLearner(new Sequential(new Flatten(), new Linear(784, 10)));
  for (const n of [0, 1.5]) {
    await assertRejects(() => resnet.testTimeDropout(learn, n), RangeError, `not ${n}`);
  }
  const { dataset, batchSize } = learn.dls.valid as DataLoader;
  const shuffled = new DataLoader(dataset, { batchSize, shuffle: true });
  const hidden: Loader = { batches: (skip) => shuffled.batches(skip) };
  for (const loader of [shuffled, hidden]) {
    const other = new TrainLearner(learn.model, new DataLoaders(loader, loader), {
      lossFunc: F.crossEntropy,
      cbs: [new DeviceCB()],
    });
    await assertRejects(() => resnet.testTimeDropout(other, 2), Error, "make it without shuffle");
  }
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
