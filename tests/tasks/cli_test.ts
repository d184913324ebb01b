/** The command line as a user runs it: the tasks of deno.json, with their permissions, in a directory of its own. */
import { decode } from "npm:fast-png@8.0.0";
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  DataLoader,
  decodeSafetensors,
  F,
  Generator,
  loadWeights,
  noGrad,
  noisify,
  saveWeights,
  tf,
  transforms,
} from "../../mod.ts";
import { loadAgain } from "../../tasks/data.ts";
import { makeModel, makeSchedule } from "../../tasks/models.ts";
import { PRESETS, type TrainConfig } from "../../tasks/presets.ts";
import { cliTest, rows, run, trainAndStop } from "./task.ts";

/** Options of a DDPM that is trained in seconds. */
const TINY =
  ("--channels 8,8 --groups 4 --layers 1 --head-dim 4 --size 16 --steps 40 --batch 16 --limit 96 " +
    "--test-limit 32 --samples 4 --seed 7").split(" ");

const magic = async (path: string) => [...(await Deno.readFile(path)).slice(0, 4)];

cliTest("train writes a run and says so; sample draws from it; the same seed draws the same", async (dir) => {
  const { code, out, err } = await run("train", dir, ...TINY, "--name", "a", "--epochs", "2");
  assertEquals(code, 0, err);
  assertEquals((await Array.fromAsync(Deno.readDir(`${dir}/a`))).map((f) => f.name).sort(), [
    ".lock",
    "checkpoint.safetensors",
    "config.json",
    "loss.svg",
    "metrics.jsonl",
    "model.safetensors",
    "samples.png",
  ]);
  assertMatch(err, /^Device: wasm \(\d+ threads?, .*SIMD\): asked for$/m);
  assertMatch(err, /^Data: .*Fashion-MNIST/m);
  assert(!/tensorflow|tfjs|node\.js|XDG|warning/i.test(out + err), `noise: ${err}`);
  assertEquals((await rows(`${dir}/a/metrics.jsonl`)).map((r) => [r.epoch, r.train]), [
    [0, "train"],
    [0, "eval"],
    [1, "train"],
    [1, "eval"],
  ]);
  const config = JSON.parse(await Deno.readTextFile(`${dir}/a/config.json`));
  assertEquals([config.channels, config.epochs, config.preset, config.lr], [[8, 8], 2, "quick", 5e-3]);
  assertEquals([config.variance, config.samples, config.dataHash.length], ["fixed_large", 4, 64]);
  const { tensors } = decodeSafetensors(await Deno.readFile(`${dir}/a/model.safetensors`));
  assertEquals(tensors["conv_in.weight"].shape, [8, 1, 3, 3]);

  const pictures: string[] = [];
  for (const seed of ["1", "1", "2"]) {
    const { code, out, err } = await run("sample", dir, "--seed", seed, "--n", "3", "--steps", "10");
    assertEquals(code, 0, err);
    assertMatch(out, /samples\.png and .*samples\.gif \(run a, seed/);
    assertEquals(await magic(`${dir}/a/samples.png`), [137, 80, 78, 71]);
    assertEquals(await magic(`${dir}/a/samples.gif`), [71, 73, 70, 56]);
    pictures.push((await Deno.readFile(`${dir}/a/samples.png`)).join());
  }
  assertEquals(pictures[0], pictures[1]);
  assert(pictures[0] !== pictures[2]);
});

cliTest("Ctrl-C saves and stops; --resume ends where an unbroken run does", async (dir) => {
  const args = [...TINY, "--epochs", "4", "--limit", "640", "--samples", "0"];
  assertEquals((await run("train", dir, ...args, "--name", "whole")).code, 0);

  await trainAndStop(dir, ...args, "--name", "broken");
  const resumed = await run("train", dir, "--resume", "broken", "--samples", "0");
  assertEquals(resumed.code, 0, resumed.err);
  assertEquals(await rows(`${dir}/broken/metrics.jsonl`), await rows(`${dir}/whole/metrics.jsonl`));
  const weights = (name: string) => Deno.readFile(`${dir}/${name}/model.safetensors`);
  assertEquals(await weights("broken"), await weights("whole"));
});

cliTest(
  "edm trains to the same numbers resumed; sample draws classes; ect begins with its network",
  async (dir) => {
    const args =
      ("--preset edm --channels 8,16 --groups 4 --head-dim 4 --batch 16 --limit 96 --test-limit 32 " +
        "--samples 10 --warmup 2 --seed 7").split(" ");
    const whole = await run("train", dir, ...args, "--epochs", "3", "--name", "whole");
    assertEquals(whole.code, 0, whole.err);
    const names = async (path: string) =>
      (await Array.fromAsync(Deno.readDir(path))).map((f) => f.name).sort();
    assertEquals(await names(`${dir}/whole/averages`), [
      "12-0.05.safetensors",
      "12-0.1.safetensors",
      "18-0.05.safetensors",
      "18-0.1.safetensors",
      "6-0.05.safetensors",
      "6-0.1.safetensors",
      "raw.safetensors",
    ]);
    const config = JSON.parse(await Deno.readTextFile(`${dir}/whole/config.json`));
    assertEquals([config.method, config.preset, config.sigmaData > 0.6 && config.sigmaData < 0.8], [
      "edm",
      "edm",
      true,
    ]);
    await trainAndStop(dir, ...args, "--epochs", "3", "--name", "broken");
    const resumed = await run("train", dir, "--resume", "broken", "--samples", "0");
    assertEquals(resumed.code, 0, resumed.err);
    const weights = (name: string) => Deno.readFile(`${dir}/${name}/model.safetensors`);
    assertEquals(await weights("broken"), await weights("whole"));
    assertEquals(JSON.parse(decodeSafetensors(await weights("whole")).metadata.edm).imagesSeen, 288);

    const out = `${dir}/classes.png`, draw = ["--run", "whole", "--out", out, "--seed", "1", "--steps", "3"];
    const pictures: string[] = [];
    for (
      const more of [
        "--n 10",
        "--n 10 --average 0.05",
        "--n 10 --guidance 2 --guidance-interval 0.2,5",
        "--n 4 --class sneaker",
      ]
    ) {
      const { code, err } = await run("sample", dir, ...draw, ...more.split(" "));
      assertEquals(code, 0, err);
      pictures.push((await Deno.readFile(out)).join());
    }
    assertEquals(new Set(pictures).size, 4);
    assertEquals(decode(await Deno.readFile(out)).width, 2 * (3 * 28 + 2) + 2);
    const wrong = await run("sample", dir, ...draw, "--class", "hat");
    assertEquals([wrong.code, wrong.err.includes("--class hat: there are 0 T-shirt/top, 1 Trouser")], [
      2,
      true,
    ]);
    const { code, out: said } = await run("evaluate", dir, "--run", "whole", "--draws", "1");
    assertEquals(code, 0);
    assertMatch(said, /^mean over 1 draws of 10000 test images: \d/m);

    const begin = `${dir}/whole/model.safetensors`;
    const tuning = [
      "--preset",
      "ect",
      ...args.slice(2),
      "--begin",
      begin,
      "--stage-batches",
      "4",
      "--epochs",
      "1",
    ];
    const tuned = await run("train", dir, ...tuning, "--name", "few");
    assertEquals(tuned.code, 0, tuned.err);
    assertEquals(JSON.parse(decodeSafetensors(await weights("few")).metadata.edm).imagesSeen, 288 + 96);
    const few = await run("sample", dir, "--run", "few", "--out", out, "--n", "10", "--steps", "1");
    assertEquals(few.code, 0, few.err);
  },
);

cliTest(
  "classify writes a run with a report of true figures, goes on with it, and no other task takes it",
  async (dir) => {
    const args = ["--limit", "192", "--test-limit", "60", "--batch", "32", "--seed", "3", "--passes", "4"];
    const twice = [...args, "--preset", "twenty", "--epochs", "2", "--augment", "flip,erase"];
    const { code, out, err } = await run("classify", dir, ...twice, "--name", "a");
    assertEquals(code, 0, err);
    assertEquals((await Array.fromAsync(Deno.readDir(`${dir}/a`))).map((f) => f.name).sort(), [
      ".lock",
      "checkpoint.safetensors",
      "confidence.svg",
      "config.json",
      "confusion.svg",
      "loss.svg",
      "metrics.jsonl",
      "model.safetensors",
      "report.json",
      "report.md",
      "uncertain.svg",
      "wrong.svg",
    ]);
    const config = JSON.parse(await Deno.readTextFile(`${dir}/a/config.json`));
    assertEquals([config.augment, config.tta, config.drop, config.lr], [["flip", "erase"], true, 0.1, 1e-2]);
    const report = JSON.parse(await Deno.readTextFile(`${dir}/a/report.json`));
    const last = (await rows(`${dir}/a/metrics.jsonl`)).at(-1);
    assert(Math.abs(report.accuracy - last.accuracy) < 1e-6, `${report.accuracy}, ${last.accuracy}`);
    const shown = (share: number) => `${(100 * share).toFixed(2)}%`;
    assert(out.includes(`accuracy: ${shown(report.accuracy)}`), out);
    assert(out.includes(`accuracy with test-time augmentation: ${shown(report.ttaAccuracy)}`), out);
    const flat: number[] = report.confusion.flat();
    assertEquals(flat.reduce((a, b) => a + b), 60);
    const right = report.confusion.reduce((sum: number, row: number[], i: number) => sum + row[i], 0);
    assert(Math.abs(right / 60 - report.ttaAccuracy) < 1e-6);
    assertEquals(report.calibration.length, 10);
    assertEquals((await Deno.readTextFile(`${dir}/a/wrong.svg`)).match(/<image /g)?.length, 25);
    assertMatch(await Deno.readTextFile(`${dir}/a/report.md`), /over 4 passes with dropout on/);

    const again = await run("classify", dir, "--resume", "a", "--passes", "2");
    assertEquals(again.code, 0, again.err);
    assertMatch(again.out, /accuracy of 2 passes with dropout, averaged/);
    const same = JSON.parse(await Deno.readTextFile(`${dir}/a/report.json`));
    assertEquals(same.accuracy, report.accuracy);

    const plain = await run("classify", dir, ...args, "--epochs", "1", "--model", "getModel4", "--name", "b");
    assertEquals(plain.code, 0, plain.err);
    assert(!/dropout|augmentation/.test(plain.out), plain.out);

    const taken = await run("sample", dir, "--run", "a");
    assertEquals(taken.code, 2);
    assert(
      taken.err.includes(`${dir}/a is a run of \`deno task classify\`, not of \`deno task train\``),
      taken.err,
    );
    const none = await run("train", dir, "--resume");
    assert(none.err.includes("There is no run of `deno task train` in"), none.err);
  },
);

cliTest("wrong use ends with exit code 2, said on the error stream alone", async (dir) => {
  for (
    const [task, ...args] of [["train", "--epochs", "0"], ["classify", "--name", "a/b"], [
      "sample",
      "--run",
      "x",
    ]]
  ) {
    const { code, out, err } = await run(task, dir, ...args);
    assertEquals([code, out], [2, ""], err);
    assertMatch(err, /^error: /);
  }
  assertEquals(await Array.fromAsync(Deno.readDir(dir)), []);
});

cliTest("a run that diverges ends with exit code 1; so does what is done with such weights", async (dir) => {
  const args = [...TINY, "--epochs", "3", "--lr", "100", "--eps", "1e-30", "--name", "gone"];
  const { code, err } = await run("train", dir, ...args);
  assertEquals(code, 1, err);
  assertMatch(err, /The loss is NaN in epoch 0, .*: the weights are lost. Train with a lower learning rate/);
  const model = makeModel(JSON.parse(await Deno.readTextFile(`${dir}/gone/config.json`)));
  model.conv_in.weight.assign(tf.fill(model.conv_in.weight.shape, NaN));
  await saveWeights(model, `${dir}/gone/model.safetensors`);
  const sampled = await run("sample", dir, "--run", "gone");
  assertEquals(sampled.code, 1, sampled.err);
  assertMatch(sampled.err, /images of step \d+ are not finite/);
  const evaluated = await run("evaluate", dir, "--run", "gone");
  assertEquals(evaluated.code, 1, evaluated.err);
  assertMatch(evaluated.err, /loss of run gone is NaN/);
});

cliTest(
  "with no run, sample draws with the shipped model of classes and says so; the lesson's by name",
  async (dir) => {
    const out = `${dir}/clothes.png`;
    await Deno.mkdir(`${dir}/begun`); // killed before it had weights: not to draw with
    await Deno.writeTextFile(`${dir}/begun/config.json`, JSON.stringify(PRESETS.quick));
    const { code, out: said, err } = await run(
      "sample",
      dir,
      "--n",
      "2",
      "--steps",
      "4",
      "--seed",
      "1",
      "--out",
      out,
    );
    assertEquals(code, 0, err);
    assertMatch(err, /Drawing with the shipped model edm/);
    assertMatch(said, /clothes\.png and .*clothes\.gif \(the shipped model edm, seed 1\)/);
    assertEquals(await magic(out), [137, 80, 78, 71]);
    const lesson = await run(
      "sample",
      dir,
      ..."--pretrained lesson --n 1 --steps 2 --seed 1 --out".split(" "),
      out,
    );
    assertEquals(lesson.code, 0, lesson.err);
    assertMatch(lesson.out, /\(the shipped model lesson, seed 1\)/);
    assertEquals(decode(await Deno.readFile(out)).width, 32 * 3 + 4);
  },
);

cliTest("evaluate averages draws over the test images, made ready as the run's were", async (dir) => {
  const args = [...TINY, ..."--size 32 --fit pad --epochs 1 --samples 0 --name measured".split(" ")];
  assertEquals((await run("train", dir, ...args)).code, 0);
  const { code, out, err } = await run("evaluate", dir, "--draws", "2");
  assertEquals(code, 0, err);
  const [, a, b] = out.match(/^run measured: (0\.\d+|1\.\d+), (0\.\d+|1\.\d+)$/m)!;
  const [, mean] = out.match(/^mean over 2 draws of \d+ test images: ([\d.]+)$/m)!;
  assert(Math.abs((Number(a) + Number(b)) / 2 - Number(mean)) < 2e-5 && a !== b, out);

  const config: TrainConfig = JSON.parse(await Deno.readTextFile(`${dir}/measured/config.json`));
  const model = makeModel(config), generator = new Generator(1);
  await loadWeights(model, `${dir}/measured/model.safetensors`);
  model.eval();
  const { test } = await loadAgain(config.dataSource!);
  let sum = 0;
  const transform = transforms.compose(transforms.toFloat(), transforms.padZeros(2));
  for await (const [images] of new DataLoader(test, { batchSize: 250, transform })) {
    const [input, ε] = noisify(images.toTensor(), makeSchedule(config), { generator });
    sum += images.shape[0] * (await F.mseLoss(noGrad(() => model.call(input)), ε).data())[0];
  }
  assert(Math.abs(sum / test.length - Number(a)) < 2e-5, `${sum / test.length}, not ${a}`);
});

cliTest("a run is never overwritten, nor changed by going on with it", async (dir) => {
  const args = [...TINY, "--epochs", "1", "--samples", "0"];
  assertEquals((await run("train", dir, ...args, "--name", "once")).code, 0);
  const { code, err } = await run("train", dir, ...args, "--name", "once");
  assertEquals(code, 2);
  assert(err.includes("once exists: give another --name, or --resume once"), err);
  const weights = await Deno.readFile(`${dir}/once/model.safetensors`);
  const results = ["model.safetensors", "metrics.jsonl"], path = (name: string) => `${dir}/once/${name}`;
  await Deno.rename(path("checkpoint.safetensors"), `${dir}/kept`);
  for (const result of results) {
    const without = await run("train", dir, "--resume", "once");
    assertEquals(without.code, 1, without.err);
    assert(
      without.err.includes(`would be trained from the start, over ${path(result)}: put it back, or`),
      without.err,
    );
    await Deno.rename(path(result), `${dir}/${result}`);
  }
  const again = await run("train", dir, "--resume", "once");
  assertEquals(again.code, 0, again.err);
  assert(again.err.includes("There is no checkpoint yet: the run begins at its start"), again.err);
  assertEquals(await Deno.readFile(path("model.safetensors")), weights);
  for (const result of results) await Deno.rename(`${dir}/${result}`, path(result));
  await Deno.rename(`${dir}/kept`, path("checkpoint.safetensors"));
  assertEquals(await Deno.stat(`${dir}/once/samples.png`).catch(() => null), null); // --samples 0 is kept
  const changed = async () =>
    await Promise.all(
      ["model.safetensors", "metrics.jsonl", "loss.svg", "config.json"].map(async (name) =>
        (await Deno.stat(`${dir}/once/${name}`)).mtime?.getTime()
      ),
    );
  const before = await changed(), finished = await run("train", dir, "--resume", "once");
  assertEquals(finished.code, 0, finished.err);
  assert(finished.out.includes("once is finished: its 1 epochs are done"), finished.out);
  assertEquals(await changed(), before);
  for (
    const [args, message] of [
      [["--epochs", "3"], "--epochs 3: run once goes on with its own 1"],
      [["--channels", "8,16"], "--channels 8,16: run once goes on with its own 8,8"],
      [["--name", "other"], "--name other: a resumed run keeps its name, once"],
      [["--preset", "lesson"], "--preset lesson: run once goes on with its own quick"],
      [["--weight-decay", "0.1"], "--weight-decay 0.1: run once goes on with its own 0"],
      [["--init-ddpm"], null],
      [["--no-init-ddpm"], "--no-init-ddpm: run once goes on with its own true"],
    ] as const
  ) {
    const { code, err } = await run("train", dir, ...args, "--resume", "once");
    if (message === null) {
      assertEquals(code, 0, err);
      continue;
    }
    assertEquals(code, 2);
    assert(err.includes(message), err);
  }
  const config = JSON.parse(await Deno.readTextFile(path("config.json")));
  await Deno.writeTextFile(path("config.json"), JSON.stringify({ ...config, dataHash: "0123" }));
  const other = await run("train", dir, "--resume", "once");
  assertEquals(other.code, 1);
  assert(
    other.err.includes(`was trained on other data: ${config.dataSource} (SHA-256 0123), not`),
    other.err,
  );
  assert(other.err.includes(config.dataHash), other.err);
});

/** The loss of every step, from a checkpoint. */
async function stepLosses(path: string): Promise<number[]> {
  const { metadata } = decodeSafetensors(await Deno.readFile(path));
  return JSON.parse(metadata["denoise.checkpoint"]).callbacks.RecorderCB.loss;
}

cliTest(
  "webgpu trains to wasm's losses; what one device trained, the other draws with and goes on with",
  async (dir) => {
    const train = (name: string, ...args: string[]) => run("train", dir, ...TINY, "--name", name, ...args);
    const gpu = ["--device", "webgpu"];
    for (const name of ["wasm", "webgpu"]) {
      const { code, err } = await train(name, "--epochs", "4", "--device", name);
      assertEquals(code, 0, err);
      assert(err.includes(`Device: ${name}`), err);
    }
    await trainAndStop(dir, ...TINY, "--epochs", "4", "--name", "both", ...gpu);
    assertEquals((await run("train", dir, "--resume", "both")).code, 0);
    const [a, ...others] = await Promise.all(
      ["wasm", "webgpu", "both"].map((name) => stepLosses(`${dir}/${name}/checkpoint.safetensors`)),
    );
    assertEquals(a.length, 24);
    assert(a.at(-1)! < 0.8 * a[0], `${a}`);
    for (const b of others) {
      assertEquals(b.length, 24);
      a.forEach((v, i) => assert(Math.abs(b[i] / v - 1) < 0.01, `step ${i}: ${v} on wasm, not ${b[i]}`));
    }
    const images: Uint8Array[] = [];
    for (const args of [["wasm"], ["wasm", ...gpu], ["webgpu"], ["webgpu", ...gpu]]) {
      const [name, ...rest] = args, out = `${dir}/${images.length}.png`;
      const drawn = await run("sample", dir, "--run", name, "--n", "2", "--seed", "1", "--out", out, ...rest);
      assertEquals(drawn.code, 0, drawn.err);
      images.push(decode(await Deno.readFile(out)).data as Uint8Array);
    }
    const off = images.map((x) => x.reduce((most, v, i) => Math.max(most, Math.abs(v - images[0][i])), 0));
    assert(Math.max(...off) <= 8, `grey levels apart: ${off}`);
  },
  "webgpu",
);
