/** Scores of a run: the command as a user calls it, and its files. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { diffusion, FASHION_MNIST_CLASSES, HostArray, type scores, setSeed, unet } from "../../mod.ts";
import { UsageError, UserError } from "../../tasks/cli.ts";
import { backToData, prepareImages } from "../../tasks/data.ts";
import { PRESETS } from "../../tasks/presets.ts";
import { classesOf } from "../../tasks/score_draw.ts";
import {
  readReport,
  type ScoreFacts,
  type ScoreReport,
  tableOf,
  writeReport,
} from "../../tasks/score_report.ts";
import { assertClose, wasmOnly } from "../support.ts";
import { testInDirectory } from "./task.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A file of a network that was not trained. */
async function writeNetwork(path: string): Promise<void> {
  setSeed(1);
  const model = new unet.PatchUNet({
    in_channels: 1,
    out_channels: 1,
    block_out_channels: [8, 8],
    down_block_types: ["DownBlock2D", "DownBlock2D"],
    up_block_types: ["UpBlock2D", "UpBlock2D"],
    norm_num_groups: 4,
    num_class_embeds: 11,
  });
  const classes = [...FASHION_MNIST_CLASSES];
  const facts = { sigmaData: 0.7, classes, imagesSeen: 0, averageLength: null };
  await Deno.writeFile(path, await diffusion.encodeEDMModel(model, facts));
}

/** Where Deno keeps its packages, which a cache of the test's own is not to move. */
async function denoDirectory(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

/** Runs a task on WASM, with a cache of its own. */
async function run(dir: string, task: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", task, "--device", "wasm", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", XDG_CACHE_HOME: `${dir}/cache`, DENO_DIR: await denoDirectory() },
    stdin: "null",
    signal: AbortSignal.timeout(180_000),
  }).output();
  const [out, err] = [stdout, stderr].map((b) => new TextDecoder().decode(b));
  return { code, out, err };
}

testInDirectory("train --score-every scores its pictures, and goes on with the rows", async (dir) => {
  const options =
    "--preset edm --channels 8,8 --groups 4 --head-dim 4 --batch 16 --limit 32 --test-limit 16 " +
    "--samples 0 --warmup 2 --seed 7 --epochs 3 --score-every 2 --score-n 10";
  const { code, out, err } = await run(dir, "train", "--runs", dir, "--name", "a", ...options.split(" "));
  assertEquals(code, 0, err);
  assertMatch(out, /^FID of 10 test images: \d/m);
  assertMatch(out, /^epoch 2: FID \d.*class right \d+\.0% \(10 images\)$/m);
  const rows = (await Deno.readTextFile(`${dir}/a/scores.jsonl`)).trim().split("\n").map((l) =>
    JSON.parse(l)
  );
  assertEquals(rows.map(({ epoch, n }) => [epoch, n]), [[1, 10], [2, 10]]);
  assert(rows.every(({ fid }) => fid > 0));
});

testInDirectory("score writes a table, JSON and a plot, and goes on where it was", async (dir) => {
  await writeNetwork(`${dir}/tiny.safetensors`);
  const common = "--n 16 --batch 10 --reference 60 --steps 2".split(" ");
  const call = (...args: string[]) =>
    run(dir, "score", `${dir}/tiny.safetensors`, "--out", `${dir}/out`, ...common, ...args);
  const read = async (): Promise<ScoreReport> =>
    JSON.parse(await Deno.readTextFile(`${dir}/out/scores.json`));

  const first = await call("--samplers", "heun,euler");
  assertEquals(first.code, 0, first.err);
  const names = (await Array.fromAsync(Deno.readDir(`${dir}/out`))).map((f) => f.name).sort();
  assertEquals(names, ["scores.json", "scores.md", "scores.svg"]);
  const { rows, floor, facts } = await read();
  assertEquals(rows.map((r) => [r.sampler, r.steps, r.evaluations, r.seeds.length]), [
    ["heun", 2, 3, 1],
    ["euler", 2, 2, 1],
  ]);
  assertEquals([facts.n, facts.reference, floor.n, facts.classifier.length], [16, 60, 16, 64]);
  for (const { seeds: [{ fid, accuracy }], secondsFor64 } of rows) {
    assert(
      fid > 1.5 * floor.fid && accuracy! <= 0.5 && secondsFor64 > 0,
      `${fid}, ${floor.fid}, ${accuracy}`,
    );
  }
  const table = (await Deno.readTextFile(`${dir}/out/scores.md`)).split("\n");
  assert(first.out.includes(table.find((line) => line.startsWith("| heun"))!));
  assert(table.some((line) => line.includes(facts.classifier)));
  assertMatch(first.err, /features of 60 training images/);

  const more = await call("--samplers", "euler", "--seeds", "2", "--seed", "1");
  assertEquals(more.code, 0, more.err);
  assert(!more.err.includes("features of"), "features are kept");
  const after = await read();
  assertEquals(after.rows[0], rows[0]);
  assertEquals(after.rows[1].seeds.map(({ seed }) => seed), [1, 2]);
  assertEquals(after.rows[1].seeds[0], rows[1].seeds[0]);
  assertMatch(more.out, /\| euler .* ± /);

  const guided = ["--samplers", "euler", "--guidance", "2"];
  const other = await call(...guided);
  assertEquals(other.code, 2);
  assertMatch(other.err, /has scores with another --guidance \(1, not 2\)/);
  const anew = await call(...guided, "--anew");
  assertEquals(anew.code, 0, anew.err);
  assertEquals((await read()).rows.map((r) => [r.sampler, r.evaluations]), [["euler", 4]]);
});

testInDirectory(
  "a DDPM of resized images is scored beside images that were resized like its own",
  async (dir) => {
    const options = "--pretrained lesson --samplers ddim --steps 2 --n 8 --reference 20".split(" ");
    const floors: number[] = [];
    for (const [name, ...network] of [["a", ...options.slice(0, 2)], ["b", `${dir}/tiny.safetensors`]]) {
      if (name === "b") await writeNetwork(network[0]);
      const { code, err } = await run(
        dir,
        "score",
        ...network,
        ...options.slice(2),
        "--out",
        `${dir}/${name}`,
      );
      assertEquals(code, 0, err);
      const { floor, rows }: ScoreReport = JSON.parse(await Deno.readTextFile(`${dir}/${name}/scores.json`));
      floors.push(floor.fid);
      assertEquals([rows[0].seeds[0].accuracy === null, rows[0].evaluations], [name === "a", 2]);
    }
    assert(floors[0] !== floors[1], `${floors}`);
    const kept = await Array.fromAsync(Deno.readDir(`${dir}/cache/denoise/fashion-mnist`));
    assertEquals(kept.length, 2);
  },
);

const SCORED: scores.Scores = {
  n: 10,
  fid: 2,
  fidEqual: 3,
  kid: 0.001,
  precision: 0.5,
  recall: 0.25,
  accuracy: 0.9,
};
const FACTS: ScoreFacts = {
  weights: "w",
  classifier: "c",
  data: "d",
  reference: 20,
  n: 10,
  batch: 5,
  guidance: 1,
  guidanceInterval: null,
};
const REPORT: ScoreReport = {
  facts: FACTS,
  title: "run a",
  device: "wasm",
  floor: { ...SCORED, fid: 1, fidEqual: 2 },
  rows: [{
    sampler: "heun",
    steps: 4,
    evaluations: 7,
    secondsFor64: 1.25,
    seeds: [{ ...SCORED, seed: 1 }, { ...SCORED, fid: 4, accuracy: 1, seed: 2 }],
  }],
};

Deno.test("the table has means over seeds and the ratio to real images", wasmOnly, () => {
  const [head, , floor, heun] = tableOf(REPORT).split("\n").map((line) =>
    line.split("|").map((c) => c.trim())
  );
  const cell = (line: string[], column: string) => line[head.indexOf(column)];
  assertEquals([cell(floor, "sampler"), cell(floor, "FID"), cell(floor, "FID/floor")], [
    "real test images",
    "1.0000",
    "1.00",
  ]);
  assertEquals(
    ["FID", "FID/floor", "n to n/floor", "KID·1000", "recall", "class right", "evaluations"].map((c) =>
      cell(heun, c)
    ),
    [
      "3.0000 ± 1.4142",
      "3.00 ± 1.41",
      "1.50 ± 0.00",
      "1.00 ± 0.00",
      "0.250",
      "95.0%",
      "7",
    ],
  );
});

Deno.test("scores of something else, or a damaged file, are not gone on with", wasmOnly, async () => {
  const dir = await Deno.makeTempDir();
  try {
    assertEquals(await readReport(dir, FACTS), undefined);
    await writeReport(dir, REPORT);
    assertEquals(await readReport(dir, FACTS), REPORT);
    const other = () => readReport(dir, { ...FACTS, weights: "x" });
    await assertRejects(other, UsageError, "has scores of other weights (w, not x): name another folder");
    await Deno.writeTextFile(`${dir}/scores.json`, '{"facts": 1}');
    await assertRejects(() => readReport(dir, FACTS), UserError, '"facts" is 1, not an object');
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test(
  "classes: as many of each, and two images of a part are as often alike as in the data",
  wasmOnly,
  () => {
    const classes = FASHION_MNIST_CLASSES, all = classesOf({ classes }, 0, 10_000);
    const countsOf = (labels: number[]) =>
      classes.map((_, c) => labels.filter((label) => label === c).length);
    assertEquals(countsOf(all), Array(10).fill(1000));
    assertEquals(classesOf({ classes }, 1990, 20), all.slice(1990, 2010));
    let alike = 0;
    for (let i = 0; i < 200; i++) {
      for (const n of countsOf(all.slice(50 * i, 50 * i + 50))) alike += n * (n - 1) / (50 * 49);
    }
    assert(Math.abs(alike / 200 - 0.1) < 0.003, `${alike / 200}`); // in turn it is 0.082
  },
);

Deno.test("a DDPM's images come back to the data's size", wasmOnly, async () => {
  const bytes = new HostArray(Uint8Array.from({ length: 2 * 28 * 28 }, (_, i) => i * 7 % 256), [
    2,
    28,
    28,
    1,
  ]);
  const pad = { ...PRESETS.lesson, size: 34, fit: "pad" as const };
  const back = backToData(pad)(prepareImages(pad)(bytes));
  assertEquals(back.shape, [2, 28, 28, 1]);
  await assertClose(back.data, Float32Array.from(bytes.data, (v) => v / 255), 1e-6);
  // A slope stays one through resizing, but for the edges.
  const slope = new HostArray(Uint8Array.from({ length: 28 * 28 }, (_, i) => 5 * (i % 28)), [1, 28, 28, 1]);
  const resized = backToData(PRESETS.lesson)(prepareImages(PRESETS.lesson)(slope));
  assertEquals(resized.shape, [1, 28, 28, 1]);
  const inside = (data: ArrayLike<number>) => Array.from(data).slice(28 * 5 + 2, 28 * 5 + 26);
  await assertClose(inside(resized.data), inside(slope.data).map((v) => v / 255), 1e-5);
});
