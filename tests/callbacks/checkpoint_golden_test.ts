/** A checkpoint of the version before callbacks' states had names (tests/golden/make_checkpoint.ts). */
import { assertEquals, assertRejects } from "@std/assert";
import * as d from "../../mod.ts";
import type { MetricsRow } from "../../mod.ts";
import { makeLearner, outcome } from "../golden/make_checkpoint.ts";
import { assertClose, wasmOnly } from "../support.ts";

const golden = (name: string) => new URL(`../golden/${name}`, import.meta.url);

/** A value's numbers, and all else of it. */
function partsOf(value: unknown): { form: string; numbers: number[] } {
  const numbers: number[] = [];
  const form = JSON.stringify(value, (_, v) => typeof v === "number" ? void numbers.push(v) : v);
  return { form, numbers };
}

Deno.test("a checkpoint of the version before resumes to the numbers of that version", wasmOnly, async () => {
  const expected = JSON.parse(await Deno.readTextFile(golden("checkpoint.json")));
  const path = await Deno.makeTempFile();
  await Deno.copyFile(golden("checkpoint.safetensors"), path);
  const again = makeLearner(d, path, true);
  await again.learn.fit(3);
  // Evaluations use an average of the weights, which has moved once a batch until then and now does once a step.
  const trained = ({ rows, ...rest }: typeof expected) => ({
    ...rest,
    rows: rows.filter((row: MetricsRow) => row.epoch < 1 || row.train === "train"),
  });
  // Sums are more precise than in that version: numbers differ in their last bits, those of a bias before a norm more.
  const [got, wanted] = [await outcome(again), expected].map((all) => partsOf(trained(all)));
  assertEquals(got.form, wanted.form);
  await assertClose(got.numbers, wanted.numbers, 1e-3);
  await Deno.remove(path);
});

Deno.test("a checkpoint of the version before refuses another number of callbacks", wasmOnly, async () => {
  const path = await Deno.makeTempFile();
  await Deno.copyFile(golden("checkpoint.safetensors"), path);
  const { learn } = makeLearner(d, path, true);
  await assertRejects(
    () => learn.fit(3, { cbs: [new d.RecorderCB({})] }),
    Error,
    "keeps the states of 4 callbacks, without their names; this fit has 5 with a state: MetricsCB, RecorderCB",
  );
  await Deno.remove(path);
});
