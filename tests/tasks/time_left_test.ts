/** How long a fit will still take. */
import { assertEquals } from "@std/assert";
import {
  ArrayDataset,
  Callback,
  DataLoaders,
  DeviceCB,
  HostArray,
  type Learner,
  Linear,
  TrainLearner,
} from "../../mod.ts";
import { formatTime, secondsLeft, TimeLeftCB } from "../../tasks/time_left.ts";
import { wasmOnly } from "../support.ts";

Deno.test("what is left: training, evaluations, and what comes after each epoch", wasmOnly, () => {
  const pace = { trainBatches: 100, train: 3, evalBatches: 10, epochs: 2 };
  assertEquals(secondsLeft(pace), 300 + 10); // an evaluation as a third of a step
  assertEquals(secondsLeft({ ...pace, evaluation: 2, rest: 5 }), 300 + 20 + 10);
  const times = [0, 29, 31, 3599, 3600, 7500, 90_000];
  assertEquals(times.map(formatTime), [
    "under a minute",
    "under a minute",
    "about 1 min",
    "about 1 h 0 min",
    "about 1 h 0 min",
    "about 2 h 5 min",
    "about 25 h 0 min",
  ]);
});

/** A clock that each batch, and what comes after an epoch, moves. */
class Clock extends Callback {
  seconds = 0;
  override order = 100;
  override afterBatch(learn: Learner): void {
    this.seconds += learn.training ? 10 : 5;
  }
  override cleanupEpoch(learn: Learner): void {
    if (!learn.training) this.seconds += 60;
  }
}

Deno.test(
  "a fit is told its time within the first minute, and after each epoch what is true",
  wasmOnly,
  async () => {
    const of = (n: number) =>
      new ArrayDataset(
        new HostArray(new Float32Array(n), [n, 1]),
        new HostArray(new Float32Array(n), [n, 1]),
      );
    const dls = DataLoaders.from(of(40), of(4), { batchSize: 2 }), clock = new Clock(), said: string[] = [];
    const told = new TimeLeftCB((line) => said.push(`${clock.seconds}: ${line}`), () => clock.seconds);
    await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), clock, told] }).fit(3);
    // An epoch is 20 batches of 10 s, 2 evaluated in 5 s each, and a minute: 270 s.
    assertEquals(said, [
      `30: Time left: ${
        formatTime(17 * 10 + 2 * 200 + 6 * 10 / 3)
      } (to epoch 3, evaluations included, as yet a guess)`,
      `270: Time left: ${formatTime(2 * 270)} (to epoch 3)`,
      `540: Time left: ${formatTime(270)} (to epoch 3)`,
    ]);
  },
);
