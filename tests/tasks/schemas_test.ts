/** The schemas of a run's files. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UserError } from "../../tasks/cli.ts";
import { CLASSIFY_PRESETS, EDM_PRESETS, PRESETS, type RunConfig } from "../../tasks/presets.ts";
import { listRuns, readConfig, requireResumable, runFiles } from "../../tasks/runs.ts";
import { formatMetrics, parseConfig, parseMetrics } from "../../tasks/schemas.ts";
import { wasmOnly } from "../support.ts";

const text = (config: unknown) => JSON.stringify(config, null, 2) + "\n";

Deno.test("configs of every preset, and of earlier versions, are read as they were written", wasmOnly, () => {
  for (const config of [PRESETS, EDM_PRESETS, CLASSIFY_PRESETS].flatMap<RunConfig>(Object.values)) {
    const kept = { ...config, dataSource: "embedded subset", dataHash: "ab" };
    for (const c of [config, kept]) assertEquals(parseConfig(text(c), "config.json"), c);
  }
  const { task: _, variance: __, samples: ___, mixedPrecision: ____, ...first } = PRESETS.lesson;
  assertEquals(parseConfig(text(first), "c"), { ...first, task: "train", mixedPrecision: false });
});

Deno.test("a config's wrong, missing and unknown fields are named with the file", wasmOnly, () => {
  const train = PRESETS.lesson, classify = CLASSIFY_PRESETS.five, { edm } = EDM_PRESETS;
  const { seed: _, ...seedless } = train;
  for (
    const [config, message] of [
      ["", " is no JSON: Unexpected end of JSON input"],
      ["{", " is no JSON"],
      ['{"task":"train","task":"train"}', ' is no JSON: it has "task" twice'],
      ["[".repeat(1e5) + "]".repeat(1e5), " is no JSON: it is nested deeper than 128 levels"],
      [null, ": it is null, not an object"],
      [[train], ': "task" is missing'],
      [{ ...train, task: "draw" }, ': "task" is "draw", not ("train" | "classify")'],
      [{ ...train, lr: "x" }, ': "lr" is "x", not a number'],
      [{ ...train, lr: -1 }, ': "lr" is -1, not a number of at least 0'],
      [{ ...train, lr: null }, ': "lr" is null, not a number'],
      [{ ...train, batch: 0 }, ': "batch" is 0, not a number of at least 1'],
      [{ ...train, epochs: 1.5 }, ': "epochs" is 1.5, not a whole number'],
      [{ ...train, channels: [16, "32"] }, ': "channels.1" is "32", not a number'],
      [{ ...train, attention: [1] }, ': "attention.0" is 1, not true or false'],
      [{ ...train, fit: "crop" }, ': "fit" is "crop", not ("resize" | "pad")'],
      [{ ...train, dropout: 0.1 }, ': there is no field "dropout"'],
      [{ ...train, model: "getModel" }, ': there is no field "model"'],
      [seedless, ': "seed" is missing'],
      [{ ...edm, method: "ddim" }, ': "method" is "ddim", not ("edm" | "ect")'],
      [{ ...edm, averages: [] }, ': "averages" is [], not at least one length'],
      [{ ...edm, steps: 4 }, ': there is no field "steps"'],
      [{ ...classify, model: "getModel9" }, ': "model" is "getModel9", not ("getModel" | '],
      [{ ...classify, augment: ["turn"] }, ': "augment.0" is "turn", not ("crop" | "flip"'],
      [{ ...classify, tta: "yes" }, ': "tta" is "yes", not true or false'],
    ] as const
  ) {
    const written = typeof config === "string" ? config : text(config);
    const { message: got } = assertThrows(() => parseConfig(written, "runs/a/config.json"), Error, message);
    assert(got.startsWith("runs/a/config.json"), got);
  }
});

Deno.test("metrics are read as they were written; what is wrong is named with the line", wasmOnly, () => {
  const rows = [
    { epoch: 0, train: "train" as const, loss: 0.5, accuracy: NaN },
    { epoch: 0, train: "eval" as const, loss: -Infinity, accuracy: Infinity },
  ];
  const written = formatMetrics(rows);
  assertEquals(written.split("\n").length, 3);
  assertEquals(parseMetrics(written, "m"), rows);
  assertEquals(parseMetrics("", "m"), []);
  for (
    const [damaged, message] of [
      [written.slice(0, -1), "m.jsonl is truncated: its last line has no end"],
      [written.slice(0, 10) + "\n", "m.jsonl, line 1 is no JSON"],
      [`${written}\n`, "m.jsonl, line 3 is no JSON"],
      [written.replace('"loss":0.5', '"loss":"0.5"'), 'm.jsonl, line 1: "loss" is "0.5", not a number'],
      [written.replace('"loss":0.5', '"loss":null'), 'm.jsonl, line 1: "loss" is null, not a number'],
      [written.replace('"loss":0.5,', ""), 'm.jsonl, line 1: "loss" is missing'],
      [written.replace('"NaN"', "[]"), 'm.jsonl, line 1: "accuracy" is [], not a number'],
      [written.replace('"eval"', '"test"'), 'm.jsonl, line 2: "train" is "test", not ("train" | "eval")'],
      [written.replace('"epoch":0,"train":"eval"', '"epoch":-1,"train":"eval"'), 'line 2: "epoch" is -1'],
      [written.replace('"epoch":0,', '"epoch":0,"epoch":1,'), 'line 1 is no JSON: it has "epoch" twice'],
      ["null\n", "m.jsonl, line 1: it is null, not an object"],
    ]
  ) {
    assertThrows(() => parseMetrics(damaged, "m.jsonl"), Error, message);
  }
});

Deno.test(
  "a run whose files are damaged is refused by name, and not taken for the newest",
  wasmOnly,
  async () => {
    const runs = await Deno.makeTempDir(), files = runFiles(runs, "damaged");
    const lines: unknown[] = [], { error } = console;
    console.error = (line) => lines.push(line);
    try {
      for (const name of ["whole", "damaged"]) {
        await Deno.mkdir(`${runs}/${name}`);
        await Deno.writeTextFile(`${runs}/${name}/config.json`, text(PRESETS.quick));
      }
      assertEquals(await readConfig(runs, "damaged", "train"), PRESETS.quick);
      await requireResumable(files); // there are none
      await Deno.writeTextFile(files.metrics, "{}\n");
      const metrics = await assertRejects(
        () => requireResumable(files),
        UserError,
        `${files.metrics}, line 1: "epoch" is`,
      );
      assert(metrics.message.endsWith("remove the file to go on"), metrics.message);
      await Deno.writeTextFile(files.config, text({ ...PRESETS.quick, lr: "fast" }));
      const message = `${files.config}: "lr" is "fast", not a number`;
      await assertRejects(() => readConfig(runs, "damaged", "train"), UserError, message);
      assertEquals([await listRuns(runs, "train"), lines], [["whole"], [`Left out: ${message}`]]);
    } finally {
      console.error = error;
      await Deno.remove(runs, { recursive: true });
    }
  },
);
