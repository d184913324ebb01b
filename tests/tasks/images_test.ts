/** Your own pictures on the command line: what `--images` opens, and runs of it. */
import { decode } from "npm:fast-png@8.0.0";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { type Dataset, decodeSafetensors, encodePng, Generator } from "../../mod.ts";
import { UsageError, UserError } from "../../tasks/cli.ts";
import { measurePictures, openPictures, placeOf } from "../../tasks/images.ts";
import { EDM_PRESETS, type EdmConfig, PICTURE_PRESETS, type PictureConfig } from "../../tasks/presets.ts";
import { runFiles } from "../../tasks/runs.ts";
import { requireSameBeginning, type Run } from "../../tasks/training.ts";
import { mixedFolder } from "../datasets/mixed_folder.ts";
import { inFiles } from "../datasets/sources.ts";
import { assertClose, wasmOnly } from "../support.ts";
import { cliTest, rows, run, trainAndStop } from "./task.ts";

/** A picture of one colour. */
const png = (...colour: number[]): Uint8Array =>
  encodePng({ width: 1, height: 1, channels: 3, data: Uint8Array.from(colour) });
const config = (images: string, more: Partial<PictureConfig> = {}): PictureConfig => ({
  ...PICTURE_PRESETS.pictures32,
  images,
  size: 8,
  ...more,
});

/** The first channel of the first pixel of each item. */
async function reds(dataset: Dataset): Promise<number[]> {
  const [{ data, shape }] = await dataset.items(Int32Array.from({ length: dataset.length }, (_, i) => i));
  return Array.from({ length: shape[0] }, (_, i) => data[i * data.length / shape[0]]);
}

/** A test with folders of pictures; what would be said is given too. */
function folderTest(
  name: string,
  files: Record<string, Uint8Array>,
  fn: (dir: string, said: string[]) => Promise<void>,
): void {
  Deno.test(name, wasmOnly, () =>
    inFiles(files, async (dir) => {
      const said: string[] = [], { error } = console;
      console.error = (line) => said.push(line);
      try {
        await fn(dir, said);
      } finally {
        console.error = error;
      }
    }));
}

const thirty = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`${i % 2}/${i}.png`, png(i, 9, 9)]));

folderTest(
  "a tenth is held back, the same each time, and none of it is trained on",
  thirty,
  async (dir, said) => {
    const held: number[][] = [];
    for (let i = 0; i < 2; i++) {
      const { train, test, classes, sets, close } = await openPictures(config(dir));
      const [a, b] = [await reds(train), await reds(test)];
      assertEquals([a.length, b.length, classes, sets.length], [27, 3, ["0", "1"], 1]);
      assertEquals([...a, ...b].sort((x, y) => x - y), Array.from({ length: 30 }, (_, i) => i));
      held.push(b);
      close();
    }
    assertEquals(held[0], held[1]);
    assert(said.some((line) => /^Evaluation: 3 of these 30 pictures/.test(line)), said.join("\n"));
  },
);

const parts = { "train/a/1.png": png(1, 0, 0), "train/b/2.png": png(2, 0, 0), "test/b/1.png": png(3, 0, 0) };

folderTest("a part of its own for evaluation is taken, with the classes of training", parts, async (dir) => {
  const { train, test, classes, close } = await openPictures(config(dir));
  assertEquals([await reds(train), await reds(test), classes], [[1, 2], [3], ["a", "b"]]);
  const [, labels] = await test.items(Int32Array.of(0));
  assertEquals([...labels.data], [1]);
  close();
  const none = await openPictures(config(dir, { classes: false }));
  assertEquals([none.classes, (await none.test.items(Int32Array.of(0))).length], [[], 1]);
  none.close();
});

const classNamedTest = { "cat/1.png": png(1, 0, 0), "dog/1.png": png(2, 0, 0), "test/1.png": png(3, 0, 0) };

folderTest(
  "a class that is named test is no part for evaluation: its pictures are trained on",
  classNamedTest,
  async (dir) => {
    const { train, test, classes, close } = await openPictures(config(dir));
    assertEquals([train.length, test.length, classes], [2, 1, ["cat", "dog", "test"]]);
    assertEquals([...await reds(train), ...await reds(test)].sort(), [1, 2, 3]);
    close();
  },
);

folderTest("the hash is of pixels, labels and classes; σ of what is trained on", thirty, async (dir) => {
  const measured = async (more: Partial<PictureConfig> = {}, limit = 0) => {
    const pictures = await openPictures(config(dir, more));
    try {
      return { ...await measurePictures(pictures, limit), reds: await reds(pictures.train) };
    } finally {
      pictures.close();
    }
  };
  const first = await measured(), again = await measured({}, 5), grey = await measured({ grey: true });
  assertEquals(first.hash, again.hash);
  const spread = (values: number[]) => {
    const mean = values.reduce((a, b) => a + b) / values.length;
    return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length) / 127.5;
  };
  for (const [{ sigmaData, reds }, n] of [[first, 27], [again, 5]] as const) {
    const expected = spread(reds.slice(0, n).flatMap((red) => [red, 9, 9]));
    assert(Math.abs(sigmaData - expected) < 1e-9, `${sigmaData}, not ${expected}`);
  }
  await Deno.rename(`${dir}/0/0.png`, `${dir}/1/0.png`);
  const moved = await measured();
  await Deno.writeFile(`${dir}/1/1.png`, png(1, 9, 10));
  const changed = await measured();
  assertEquals(new Set([first, grey, moved, changed].map(({ hash }) => hash)).size, 4);
});

folderTest("what cannot be opened is wrong use that names the place", {
  "a/1.png": png(1, 2, 3),
  "b.txt": new Uint8Array(9),
}, async (dir) => {
  for (
    const [where, message, more] of [
      [`${dir}/gone`, `--images ${dir}/gone: it cannot be opened`],
      [`${dir}/b.txt`, `--images ${dir}/b.txt: `],
      [dir, `--images ${dir}: one picture is too few`],
      ["drawn:cats", "--images drawn:cats: what is drawn is drawn:emoji"],
      ["ftp://a/b.zip", "--images ftp://a/b.zip: a path, an https: address or hf://datasets/OWNER/NAME is"],
      ["hf://models/a", "--images hf://models/a: a data set of Hugging Face is hf://datasets/"],
    ] as [string, string, Partial<PictureConfig>?][]
  ) {
    await assertRejects(() => openPictures(config(where, more)), UsageError, message);
  }
  await Deno.writeFile(`${dir}/a/2.png`, png(1, 2, 3).slice(0, -9));
  await assertRejects(
    () => openPictures(config(dir, { strict: true })),
    UsageError,
    `--images ${dir}: a/2.png: `,
  );
  assertEquals(placeOf("hf://datasets/a/b"), "hf://datasets/a/b");
  assert(placeOf("some/where").startsWith("/"));
});

/** Options of a network of pictures that is trained in seconds. */
const TINY = ("--size 16 --channels 8,8 --attention no,yes --groups 4 --head-dim 4 --batch 4 --warmup 2 " +
  "--samples 4 --seed 7").split(" ");

/** A folder of 24 pictures in two classes, and one that is cut off. */
async function writeFolder(dir: string): Promise<void> {
  const generator = new Generator(1);
  for (let i = 0; i < 24; i++) {
    const [width, height] = [16 + i, 20],
      data = new Uint8Array(generator.uniformArray(width * height * 3).map((v) => v * 256));
    await Deno.mkdir(`${dir}/${i % 2 ? "red ones" : "ä"}`, { recursive: true });
    await Deno.writeFile(
      `${dir}/${i % 2 ? "red ones" : "ä"}/${i} ü.png`,
      encodePng({ width, height, channels: 3, data }),
    );
  }
  await Deno.writeFile(`${dir}/ä/cut.png`, png(1, 2, 3).slice(0, -9));
}

cliTest(
  "--images trains on a folder with its classes; resume, sample and evaluate know them",
  async (dir) => {
    const images = `${dir}/my pictures`;
    await writeFolder(images);
    const args = ["--images", images, ...TINY, "--epochs", "3"];
    const whole = await run("train", dir, ...args, "--name", "whole");
    assertEquals(whole.code, 0, whole.err);
    assert(whole.err.includes("Data: 24 pictures in 2 classes from"), whole.err);
    assert(whole.err.includes("Skipped 1 picture: ä/cut.png"), whole.err);
    const kept = JSON.parse(await Deno.readTextFile(`${dir}/whole/config.json`));
    assertEquals([kept.preset, kept.classNames, kept.size, kept.flip, kept.crop, kept.images], [
      "pictures32",
      ["red ones", "ä"],
      16,
      true,
      "random",
      images,
    ]);
    assertEquals([kept.dataHash.length, kept.sigmaData > 0.2 && kept.sigmaData < 0.7], [64, true]);
    const weights = (name: string) => Deno.readFile(`${dir}/${name}/model.safetensors`);
    const { metadata, tensors } = decodeSafetensors(await weights("whole"));
    assertEquals(JSON.parse(metadata.edm).classes, ["red ones", "ä"]);
    assertEquals([JSON.parse(metadata.config).in_channels, JSON.parse(metadata.config).sample_size], [3, 16]);
    assertEquals(tensors["class_embedding.weight"].shape[0], 3);
    const shown = decode(await Deno.readFile(`${dir}/whole/samples.png`));
    assertEquals([shown.width, shown.height, shown.channels], [
      2 * (16 * 3 + 2) + 2,
      2 * (16 * 3 + 2) + 2,
      3,
    ]);

    await trainAndStop(dir, ...args, "--name", "broken");
    const resumed = await run("train", dir, "--resume", "broken", "--samples", "0");
    assertEquals(resumed.code, 0, resumed.err);
    assertEquals(await weights("broken"), await weights("whole"));
    assertEquals(await rows(`${dir}/broken/metrics.jsonl`), await rows(`${dir}/whole/metrics.jsonl`));

    const out = `${dir}/drawn.png`, draw = ["--run", "whole", "--out", out, "--seed", "1", "--steps", "2"];
    const start = `${dir}/start.png`;
    await Deno.writeFile(start, encodePng({ width: 16, height: 16, channels: 3, data: new Uint8Array(768) }));
    const pictures: string[] = [];
    for (
      const more of [["--n", "3"], ["--class", "red", "--n", "3"], [
        "--image",
        start,
        "--n",
        "3",
        "--strength",
        "0.5",
      ]]
    ) {
      const { code, err } = await run("sample", dir, ...draw, ...more);
      assertEquals(code, 0, err);
      pictures.push((await Deno.readFile(out)).join());
    }
    assertEquals(new Set(pictures).size, 3);
    const hat = await run("sample", dir, ...draw, "--class", "hat");
    assertEquals([hat.code, hat.err.includes("--class hat: there are 0 red ones, 1 ä")], [2, true], hat.err);
    const evaluated = await run("evaluate", dir, "--run", "whole", "--draws", "1");
    assertEquals(evaluated.code, 0, evaluated.err);
    assertMatch(evaluated.out, /^mean over 1 draws of 3 test images: \d/m);
    const clothes = await run("score", dir, "whole");
    assertEquals(clothes.code, 2);
    assert(
      clothes.err.includes(`run whole: scores compare with Fashion-MNIST, and it is of ${images}`),
      clothes.err,
    );

    await Deno.rename(images, `${dir}/moved`);
    const gone = await run("train", dir, "--resume", "whole");
    assertEquals(
      [gone.code, gone.err.includes(`--images ${images}: it cannot be opened`)],
      [2, true],
      gone.err,
    );
    const moved = await run("train", dir, "--resume", "whole", "--images", `${dir}/moved`);
    assertEquals(moved.code, 0, moved.err);
    await Deno.remove(`${dir}/moved/ä/0 ü.png`);
    const other = await run("train", dir, "--resume", "whole");
    assertEquals(other.code, 1);
    assert(other.err.includes(`Run whole was trained on other data: ${dir}/moved (SHA-256 `), other.err);
  },
);

cliTest(
  "without classes, in grey, of the middle: sample refuses classes, and dark stays dark",
  async (dir) => {
    await writeFolder(`${dir}/folder`);
    const choices = "--no-classes --grey --crop centre --no-flip --epochs 1 --name plain".split(" ");
    const trained = await run("train", dir, "--images", `${dir}/folder`, ...TINY, ...choices);
    assertEquals(trained.code, 0, trained.err);
    const { metadata, tensors } = decodeSafetensors(await Deno.readFile(`${dir}/plain/model.safetensors`));
    assertEquals([JSON.parse(metadata.edm).classes, JSON.parse(metadata.config).in_channels], [[], 1]);
    assert(!("class_embedding.weight" in tensors));
    const kept = JSON.parse(await Deno.readTextFile(`${dir}/plain/config.json`));
    assertEquals([kept.classes, kept.grey, kept.crop, kept.flip], [false, true, "centre", false]);
    const black = `${dir}/black.png`, out = `${dir}/out.png`;
    await Deno.writeFile(black, encodePng({ width: 16, height: 16, channels: 1, data: new Uint8Array(256) }));
    // All is kept, as the mask is black: what is drawn is the picture itself.
    const same = ["--image", black, "--inpaint", black, "--n", "1", "--steps", "3", "--out", out];
    const drawn = await run("sample", dir, "--run", "plain", ...same);
    assertEquals(drawn.code, 0, drawn.err);
    const { data, width } = decode(await Deno.readFile(out));
    assert(data[(width >> 1) * width + (width >> 1)] < 8, `${data[(width >> 1) * width + (width >> 1)]}`);
    for (const [option, value] of [["--class", "0"], ["--guidance", "2"]]) {
      const { code, err } = await run("sample", dir, "--run", "plain", option, value);
      assertEquals([code, err.includes(`${option}: run plain knows of no classes`)], [2, true], err);
    }
    const evaluated = await run("evaluate", dir, "--run", "plain", "--draws", "1");
    assertEquals(evaluated.code, 0, evaluated.err);
  },
);

cliTest("a folder as people have it is trained on, and what is skipped is told", async (dir) => {
  const files = await mixedFolder();
  await inFiles(files, async (folder) => {
    const options = [...TINY, "--limit", "16", "--test-limit", "8", "--epochs", "1", "--name", "mixed"];
    const { code, err } = await run("train", dir, "--images", folder, ...options);
    assertEquals(code, 0, err);
    assert(err.includes(`Data: 454 pictures in 2 classes from ${folder}, as 16×16 RGB`), err);
    assert(err.includes("Skipped 1 picture: my photos/broken.jpg (the JPEG is cut off"), err);
    assert(err.includes("Evaluation: 46 of these 454 pictures"), err);
    const strict = await run("train", dir, "--images", folder, ...options.slice(0, -1), "strict", "--strict");
    assertEquals(
      [strict.code, strict.err.includes("broken.jpg: the JPEG is cut off")],
      [2, true],
      strict.err,
    );
  });
});

cliTest("an address that the task may not reach is wrong use that says how to reach it", async (dir) => {
  const { code, err } = await run("train", dir, "--images", "https://pictures.invalid/a.zip");
  assertEquals(code, 2, err);
  assert(
    err.includes("--images https://pictures.invalid/a.zip: this task may not reach pictures.invalid."),
    err,
  );
  assertMatch(err, /deno run .* --allow-net=pictures\.invalid \S+tasks\/train\.ts$/m);
});

cliTest("drawn:emoji takes its preset, and its own part for evaluation", async (dir) => {
  const options = [...TINY, "--limit", "8", "--test-limit", "4", "--epochs", "1", "--samples", "0"];
  const { code, err } = await run("train", dir, "--images", "drawn:emoji", ...options, "--name", "drawn");
  assertEquals(code, 0, err);
  const kept = JSON.parse(await Deno.readTextFile(`${dir}/drawn/config.json`));
  assertEquals([kept.preset, kept.images, kept.flip, kept.classNames.length], [
    "emoji",
    "drawn:emoji",
    false,
    10,
  ]);
  assertMatch(err, /Data: 5000 pictures in 10 classes[^]*Data: 1000 pictures in 10 classes/);
});

cliTest(
  "--sample-every draws on the way; --accumulate steps on more; both end where they are resumed",
  async (dir) => {
    await writeFolder(`${dir}/folder`);
    const args = [
      "--images",
      `${dir}/folder`,
      ...TINY,
      ..."--epochs 4 --sample-every 2 --accumulate 4".split(" "),
    ];
    const whole = await run("train", dir, ...args, "--name", "whole");
    assertEquals(whole.code, 0, whole.err);
    assertMatch(
      whole.err,
      /^Time left: under a minute \(to epoch 4, evaluations included, as yet a guess\)$/m,
    );
    await trainAndStop(dir, ...args, "--name", "broken");
    const resumed = await run("train", dir, "--resume", "broken");
    assertEquals(resumed.code, 0, resumed.err);
    const names = (await Array.fromAsync(Deno.readDir(`${dir}/whole/samples`))).map((file) => file.name)
      .sort();
    assertEquals(names, ["0002.png", "0004.png"]);
    const [early, late] = await Promise.all(
      names.map((name) => Deno.readFile(`${dir}/whole/samples/${name}`)),
    );
    assertEquals(decode(early).width, 2 * (16 * 3 + 2) + 2);
    assert(early.join() !== late.join(), "nothing was learnt between the pictures");
    for (const file of ["model.safetensors", "samples/0002.png", "samples/0004.png", "samples.png"]) {
      assertEquals(
        await Deno.readFile(`${dir}/broken/${file}`),
        await Deno.readFile(`${dir}/whole/${file}`),
        file,
      );
    }
    // 21 pictures are 6 batches, and 2 steps an epoch.
    const { metadata } = decodeSafetensors(await Deno.readFile(`${dir}/whole/checkpoint.safetensors`));
    assertEquals(JSON.parse(metadata["denoise.checkpoint"]).callbacks["PowerEMACB(0.1)"], 8);
  },
);

cliTest(
  "--from begins with a run, a file or a model that ships, with its network; what does not fit is said",
  async (dir) => {
    await writeFolder(`${dir}/folder`);
    const images = ["--images", `${dir}/folder`],
      short = "--batch 4 --epochs 1 --samples 0 --lr 0".split(" ");
    const first = await run(
      "train",
      dir,
      ...images,
      ...TINY,
      "--epochs",
      "1",
      "--samples",
      "0",
      "--name",
      "first",
    );
    assertEquals(first.code, 0, first.err);
    const read = async (name: string) =>
      decodeSafetensors(await Deno.readFile(`${dir}/${name}/model.safetensors`));
    const base = await read("first");
    for (const [name, from] of [["run", "first"], ["file", `${dir}/first/model.safetensors`]]) {
      const again = await run(
        "train",
        dir,
        ...images,
        "--size",
        "16",
        ...short,
        "--from",
        from,
        "--name",
        name,
      );
      assertEquals(again.code, 0, again.err);
      const { tensors, metadata } = await read(name);
      assertEquals(JSON.parse(metadata.config), JSON.parse(base.metadata.config));
      await assertClose(
        tensors["class_embedding.weight"].data,
        base.tensors["class_embedding.weight"].data,
        1e-6,
      );
      assertEquals(JSON.parse(metadata.edm).imagesSeen, 2 * 24);
    }
    const resumed = await run("train", dir, "--resume", "run");
    assertEquals(resumed.code, 0, resumed.err);
    const others = await run(
      "train",
      dir,
      "--images",
      "drawn:emoji",
      "--limit",
      "8",
      "--test-limit",
      "4",
      "--size",
      "16",
      ...short,
      "--from",
      "first",
      "--name",
      "others",
    );
    assertEquals(others.code, 0, others.err);
    assert(others.err.includes("in place of red ones, ä: their table begins anew"), others.err);
    const { tensors } = await read("others");
    assertEquals(tensors["class_embedding.weight"].shape[0], 11);
    await assertClose(tensors["conv_in.weight"].data, base.tensors["conv_in.weight"].data, 1e-6);
    const shipped = await run(
      "train",
      dir,
      ...images,
      ..."--from edm --size 28 --grey --no-classes --limit 4 --test-limit 2 --name shipped".split(" "),
      ...short,
    );
    assertEquals(shipped.code, 0, shipped.err);
    assertEquals((await read("shipped")).tensors["conv_in.weight"].shape, [64, 4, 3, 3]);
    for (
      const [args, message] of [
        [
          [...images, "--from", "edm"],
          "--from edm: its images are grey ones of 28×28, not RGB ones of 32×32: give --size 28 --grey",
        ],
        [
          ["--from", "first"],
          "--from first: its images are RGB ones of 16×16, not grey ones of 28×28: give --images WHERE",
        ],
        [
          [...images, "--size", "16", "--channels", "8,16", "--from", "first"],
          "--channels 8,16: the network of --from first has 8,8",
        ],
        [["--from", "gone"], "--from gone: There is no run "],
        [["--from", `${dir}/gone.safetensors`], "gone.safetensors: there is no such file"],
        [
          ["--from", `${dir}/first/checkpoint.safetensors`],
          'it is no network of EDM: its metadata lacks "edm"',
        ],
        [["--from", "first", "--preset", "lesson"], "--from: --preset lesson has no use for it"],
        [
          ["--from", "first", "--begin", `${dir}/first/model.safetensors`],
          "--from and --begin: give one of them",
        ],
        [["--from", "first", "--resume", "run"], "--from first: a resumed run goes on with its own weights"],
      ] as [string[], string][]
    ) {
      const { code, err } = await run("train", dir, ...args);
      assertEquals([code, err.includes(message)], [2, true], err);
    }
  },
);

Deno.test("a run whose beginning has changed is not gone on with", wasmOnly, () => {
  const config = { ...EDM_PRESETS.edm, begin: "few.safetensors" };
  const mine: Run<EdmConfig> = { name: "mine", config, resume: true, files: runFiles("runs", "mine") };
  requireSameBeginning(mine, "a1");
  requireSameBeginning(mine, "a1");
  assertEquals(config.beginHash, "a1");
  const says = "few.safetensors has changed since the run mine began with it";
  assertThrows(() => requireSameBeginning(mine, "b2"), UserError, says);
});
