/** A checkpoint of the version before callbacks' states had names (tests/golden/make_checkpoint.ts). */
import { assertEquals, assertRejects } from "@std/assert";
import * as d from "../../mod.ts";
import type { MetricsRow } from "../../mod.ts";
import { makeLearner, outcome } from "../golden/make_checkpoint.ts";
import { wasmOnly } from "../support.ts";

const golden = (name: string) => new URL(`../golden/${name}`, import.meta.url);

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
  assertEquals(trained(await outcome(again)), trained(expected));
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
