/** Wrong use of every task: exit code 2 and a message that names the option, the value, and what would be right. */
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { bench } from "../../tasks/bench.ts";
import { browser } from "../../tasks/browser.ts";
import { buildSubset } from "../../tasks/build_subset.ts";
import { buildWasm } from "../../tasks/build_wasm.ts";
import { classify } from "../../tasks/classify.ts";
import { exitCodeOf, type Task } from "../../tasks/cli.ts";
import { evaluate } from "../../tasks/evaluate.ts";
import { exportTask } from "../../tasks/export.ts";
import { importTask } from "../../tasks/import.ts";
import { lookTask } from "../../tasks/look.ts";
import { sample } from "../../tasks/sample.ts";
import { scoreTask } from "../../tasks/score.ts";
import { test } from "../../tasks/test.ts";
import { train } from "../../tasks/train.ts";
import { wasmOnly } from "../support.ts";

const TASKS: Record<string, Task> = {
  train,
  look: lookTask,
  classify,
  sample,
  evaluate,
  export: exportTask,
  import: importTask,
  score: scoreTask,
  browser,
  test,
  bench,
  "build:wasm": buildWasm,
  "build:subset": buildSubset,
};
/** Tasks that compute. */
const DEVICE = [
  "train",
  "classify",
  "sample",
  "evaluate",
  "export",
  "import",
  "score",
  "browser",
  "test",
  "bench",
];
const THREADS = ["train", "classify", "sample", "evaluate", "export", "import", "score", "bench"];
/** Tasks with options that take a number, one of each. */
const NUMBERS: Record<string, [option: string, low: number, high: number][]> = {
  train: [
    ["--size", 8, 512],
    ["--layers", 1, 8],
    ["--groups", 1, 1024],
    ["--head-dim", 1, 1024],
    ["--steps", 1, 1e5],
    ["--beta-min", 1e-9, 0.999],
    ["--beta-max", 1e-9, 0.999],
    ["--samples", 0, 1024],
    ["--patch", 1, 14],
    ["--class-dropout", 0, 1],
    ["--mean-log-sigma", -20, 20],
    ["--std-log-sigma", 1e-3, 20],
    ["--warmup", 0, 1e9],
    ["--flat", 1, 1e9],
    ["--clip", 1e-9, 1e9],
    ["--stage-batches", 1, 1e9],
    ["--sample-every", 0, 1e5],
    ["--accumulate", 1, 1000],
  ],
  look: [["--size", 8, 512], ["--limit", 0, 1e9], ["--seed", 0, Number.MAX_SAFE_INTEGER]],
  classify: [["--drop", 0, 0.99], ["--passes", 1, 1000]],
  sample: [
    ["--n", 1, 1024],
    ["--steps", 1, 1e5],
    ["--seed", 0, Number.MAX_SAFE_INTEGER],
    ["--guidance", 0, 20],
    ["--average", 0.001, 0.288],
    ["--strength", 0.01, 1],
  ],
  evaluate: [["--average", 0.001, 0.288], ["--draws", 1, 1000], ["--seed", 0, Number.MAX_SAFE_INTEGER]],
  score: [
    ["--average", 0.001, 0.288],
    ["--n", 8, 1e6],
    ["--seeds", 1, 100],
    ["--seed", 0, Number.MAX_SAFE_INTEGER - 100],
    ["--guidance", 0, 20],
    ["--batch", 1, 4096],
    ["--reference", 0, 1e9],
  ],
  browser: [["--port", 0, 65_535]],
  bench: [["--images", 2, 4096], ["--rounds", 1, 99], ["--ms", 1, 60_000]],
};
const TRAINING: [option: string, low: number, high: number][] = [
  ["--limit", 0, 1e9],
  ["--test-limit", 0, 1e9],
  ["--batch", 1, 65_536],
  ["--epochs", 1, 1e5],
  ["--lr", 0, 100],
  ["--pct-start", 0, 1],
  ["--div-factor", 1, 1e9],
  ["--final-div-factor", 1, 1e9],
  ["--base-momentum", 0, 0.9999],
  ["--max-momentum", 0, 0.9999],
  ["--beta2", 0, 0.999999],
  ["--eps", 1e-38, 1],
  ["--weight-decay", 0, 1],
  ["--seed", 0, Number.MAX_SAFE_INTEGER],
  ["--checkpoint-every", 1, 1e9],
];
NUMBERS.train.push(...TRAINING);
NUMBERS.classify.push(...TRAINING);
const PATHS: Record<string, string[]> = {
  train: ["--runs", "--data", "--begin", "--images", "--from"],
  look: ["--out"],
  classify: ["--runs", "--data"],
  sample: ["--runs", "--out", "--image", "--inpaint"],
  evaluate: ["--runs", "--data"],
  export: ["--runs"],
  import: ["--runs"],
  score: ["--runs", "--data", "--out"],
  browser: ["--out"],
  bench: ["--json"],
  "build:subset": ["--data"],
};
/** Arguments that are none of an option. */
const ARGUMENTS: Record<string, string[]> = {
  score: ["run"],
  look: ["run"],
  export: ["run", "dir"],
  import: ["where"],
};
const NAMES: Record<string, string[]> = {
  train: ["--name", "--resume"],
  classify: ["--name", "--resume"],
  sample: ["--run"],
  evaluate: ["--run"],
  import: ["--name"],
};
/** What the help says of presets. */
const PRESETS_TOLD: Record<string, string[]> = {
  train: ["lesson-v1: as quick, but", "--lr 0.004", "--no-init-ddpm", "--attention no,no,yes,yes"],
  classify: ["twenty: as five, but", "--augment crop,flip,erase", "--no-tta"],
};
/** What is no name: paths, and what a shell or a system takes for something else. */
const NO_NAMES = [
  "a/b",
  "..",
  ".",
  "../x",
  "/x",
  "a\\b",
  "-x",
  ".hidden",
  "",
  "a b",
  "a\0b",
  "x".repeat(101),
];

/** Runs a task in this process: its exit code, and what it says. */
async function call(task: string, args: string[], env: Record<string, string> = {}) {
  let said = "";
  const write = (text: unknown) => (said += text, true);
  const before = [process.stdout.write, process.stderr.write, console.log, console.error] as const;
  process.stdout.write = process.stderr.write = write as typeof process.stdout.write;
  console.log = console.error = (...parts: unknown[]) => void write(parts.join(" ") + "\n");
  const variables = Object.keys(env).map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
    return { code: await exitCodeOf(TASKS[task], args), said };
  } finally {
    [process.stdout.write, process.stderr.write, console.log, console.error] = before;
    for (const [name, value] of variables) {
      value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
    }
  }
}

/** Fails unless a call is wrong use, and each of these is said. */
async function assertWrong(task: string, args: string[], said: string[], env?: Record<string, string>) {
  const result = await call(task, args, env);
  const what = `${task} ${args.join(" ")} ${JSON.stringify(env ?? {})}: ${result.said}`;
  assertEquals(result.code, 2, what);
  for (const text of said) assert(result.said.includes(text), `${what} lacks: ${text}`);
  assert(!result.said.includes("Device: "), `${what}: the device started before the mistake was seen`);
}

/** A test in the suite's run on one device, in which no file of the project changes. */
function usageTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ...wasmOnly, fn });
}

usageTest(
  "every task refuses an unknown option, an argument that is none, and an option without its value",
  async () => {
    for (const task of Object.keys(TASKS)) {
      await assertWrong(task, ["--nonsense"], ["unknown option '--nonsense'", "--help tells the options"]);
      const known = ARGUMENTS[task] ?? [];
      await assertWrong(task, [...known, "nonsense"], ["too many arguments"]);
      await assertWrong(task, ["-A"], ["unknown option '-A'"]);
      const options = [...NUMBERS[task] ?? [], ...PATHS[task] ?? [], ...NAMES[task] ?? []].map((o) =>
        [o].flat()[0]
      );
      for (const option of options.filter((o) => o !== "--resume")) {
        await assertWrong(task, [`${option}`], [`'${option}`, "argument missing"]);
      }
    }
  },
);

usageTest(
  "every number is refused out of range, fractional where it is whole, and as another word",
  async () => {
    for (const [task, options] of Object.entries(NUMBERS)) {
      for (const [option, low, high] of options) {
        for (const wrong of [`${low - Math.max(1, low)}`, `${high * 1.01}`, "x", "", "NaN", "1,2"]) {
          if (wrong === "0" && low === 0) continue;
          await assertWrong(task, [`${option}=${wrong}`], [
            `'${option} <`,
            `'${wrong}' is invalid. It must be a`,
          ]);
        }
      }
    }
    await assertWrong("train", ["--epochs", "1.5"], [
      "'1.5' is invalid. It must be a whole number from 1 to 100000",
    ]);
  },
);

usageTest("every name is that of a run, not a path; every path is one", async () => {
  for (const [task, options] of Object.entries(NAMES)) {
    for (const option of options) {
      for (const name of NO_NAMES) {
        await assertWrong(task, [`${option}=${name}`], [option, "must be a name, not a path"]);
      }
    }
  }
  for (const [task, options] of Object.entries(PATHS)) {
    for (const option of options) {
      for (const path of ["", "a\0b"]) {
        await assertWrong(task, [`${option}=${path}`], [option, "It must be a path."]);
      }
    }
  }
});

usageTest("a device or a number of threads that there is not: in a flag and in the environment", async () => {
  for (const task of DEVICE) {
    await assertWrong(task, ["--device", "gpu"], [
      "'gpu' is invalid. Allowed choices are auto, webgpu, wasm",
    ]);
    await assertWrong(task, [], ["'gpu' from env 'DENOISE_DEVICE' is invalid"], { DENOISE_DEVICE: "gpu" });
  }
  for (const task of THREADS) {
    for (const wrong of ["0", "65", "x", "1.5"]) {
      await assertWrong(task, ["--threads", wrong], ["It must be a whole number from 1 to 64"]);
      await assertWrong(task, [], ["from env 'DENOISE_THREADS' is invalid"], { DENOISE_THREADS: wrong });
    }
  }
  await assertWrong("sample", ["--pretrained", "--device", "webgpu", "--threads", "2"], [
    "--threads 2: a GPU has none",
  ]);
});

usageTest("--help tells every option and runs nothing, whatever the environment says", async () => {
  const subset = await Deno.stat("datasets/fashion_mnist_subset.gen.ts");
  for (const task of Object.keys(TASKS)) {
    const { code, said } = await call(task, ["--help"], { DENOISE_DEVICE: "gpu", DENOISE_THREADS: "x" });
    assertEquals(code, 0, said);
    assert(said.startsWith(`Usage: deno task ${task} [options]`), said);
    const options = [...NUMBERS[task] ?? [], ...PATHS[task] ?? [], ...NAMES[task] ?? []].map((o) =>
      [o].flat()[0]
    );
    for (const option of options) assert(said.includes(`${option} `), `${said} lacks ${option}`);
    const known = new Set([...said.matchAll(/^ {2}(?:-h, )?(--[\w-]+)/gm)].map(([, option]) => option));
    for (const [, option] of said.matchAll(/(--[a-z][\w-]*)/g)) {
      assert(known.has(option), `the help of ${task} names ${option}, which is no option`);
    }
    assertEquals((await call(task, ["-h"])).said, said);
    for (const preset of PRESETS_TOLD[task] ?? []) assert(said.includes(preset), `${said} lacks ${preset}`);
  }
  assertEquals((await Deno.stat("datasets/fashion_mnist_subset.gen.ts")).mtime, subset.mtime);
});

usageTest("options that are each right and wrong together", async () => {
  const cases: [task: string, args: string, ...said: string[]][] = [
    ["train", "--preset slow", "Allowed choices are quick, lesson, lesson-v1"],
    ["train", "--fit stretch", "Allowed choices are resize, pad"],
    ["train", "--channels 8,x", "It must be positive whole numbers with commas"],
    ["train", "--attention no,maybe", "It must be yes or no for each level"],
    ["train", "--attention no,yes", "--attention no,yes has not as many levels as --channels 16,32,64,64"],
    ["train", "--size 30", "--size 30 does not halve 3 times: give a multiple of 8"],
    ["train", "--size 24 --fit pad", "--fit pad needs an even --size of at least 28, not 24"],
    ["train", "--groups 32", "--groups 32: 16 channels do not divide into 32 groups"],
    ["train", "--channels 1,8 --groups 1", "--channels 1,8: the first level needs at least 2"],
    ["train", "--head-dim 48", "--head-dim 48: 64 channels do not divide into heads of 48"],
    ["train", "--beta-min 0.5", "--beta-min 0.5 is above --beta-max 0.02"],
    ["train", "--patch 2", "--patch: --preset quick has no use for it"],
    ["train", "--preset edm --steps 10", "--steps: --preset edm has no use for it"],
    ["train", "--preset edm --pct-start 0.5", "--pct-start: --preset edm has no use for it"],
    ["train", "--preset edm --stage-batches 5", "--stage-batches: --preset edm has no use for it"],
    ["train", "--preset edm --patch 4", "28 pixels are no patches of 4 that halve 1 times"],
    ["train", "--preset edm --head-dim 40", "--head-dim 40: 96 channels do not divide into heads of 40"],
    ["train", "--preset edm --averages 0.1,0.3", "numbers between 0 and 0.2886 with commas"],
    ["train", "--preset edm --begin /nowhere", "--begin /nowhere: there is no such file"],
    ["train", "--preset pictures32", "--preset pictures32 trains on your own pictures: give --images WHERE"],
    ["train", "--preset edm --images a", "--images: --preset edm has no use for it"],
    ["train", "--grey", "--grey: --preset quick has no use for it"],
    ["train", "--images a --steps 5", "--steps: --preset pictures32 has no use for it"],
    ["train", "--images a --score-every 1", "--score-every: --preset pictures32 has no use for it"],
    ["train", "--images a --size 100 --stage-batches 1", "--stage-batches: --preset pictures128 has no"],
    [
      "train",
      "--images a --size 100",
      "100 pixels are no patches of 2 that halve 3 times: give a --size that is a multiple of 16",
    ],
    ["train", "--look", "--look shows the pictures of --images: give --images WHERE"],
    ["train", "--look --images a --resume b", "--look shows what a run would begin with: leave out --resume"],
    ["look", "/nowhere/at/all", "--images /nowhere/at/all: it cannot be opened"],
    ["look", "drawn:emoji --out a.png", "--out a.png: the picture is an SVG"],
    ["look", "drawn:emoji --crop left", "Allowed choices are random, centre"],
    ["train", "--images a --crop left", "Allowed choices are random, centre"],
    ["train", "--images a --data b", "--data and --images: give one of them"],
    ["train", "--images /nowhere/at/all", "--images /nowhere/at/all: it cannot be opened"],
    ["train", "--images drawn:cats", "--images drawn:cats: what is drawn is drawn:emoji"],
    ["train", "--preset ect", "--preset ect tunes a network of EDM: give --from, such as edm"],
    ["train", "--resume gone", "There is no run ", "runs/gone. "],
    [
      "train",
      "--data /nowhere/at/all",
      "--data /nowhere/at/all does not hold all of train-images-idx3-ubyte.gz",
    ],
    ["classify", "--augment flip,spin", '"spin" is none of crop, flip, erase, copy'],
    ["classify", "--model net", "Allowed choices are getModel"],
    ["classify", "--model getModel2 --drop 0.2", "--drop is for getDropModel: getModel2 has no dropout"],
    ["sample", "--run gone", "There is no run ", "runs/gone. "],
    ["sample", "--run a --pretrained", "--run and --pretrained: give one of them"],
    [
      "sample",
      "--pretrained lesson --steps 5000",
      "--steps 5000: the shipped model lesson has 1000 diffusion steps",
    ],
    ["sample", "--pretrained --out a.gif", "--out a.gif: the picture is a PNG, with a GIF beside it"],
    ["sample", "--pretrained --out .png", "give a name that ends in .png"],
    ["sample", "--pretrained --out tests/", "give a name that ends in .png"],
    ["sample", "--pretrained --out README.md/a.png", "nothing can be written there"],
    ["sample", "--pretrained --average 0.1", "--average 0.1: the shipped model edm has kept no averages"],
    ["sample", "--pretrained lesson --class Bag", "--class: the shipped model lesson knows of no classes"],
    [
      "sample",
      "--pretrained lesson --guidance 2",
      "--guidance: the shipped model lesson knows of no classes",
    ],
    [
      "sample",
      "--pretrained --guidance-interval 5,2",
      "two numbers with a comma, the first below the second",
    ],
    ["sample", "--pretrained best", "'--pretrained [name]' argument 'best' is invalid", "edm, lesson"],
    ["evaluate", "--pretrained best", "'--pretrained [name]' argument 'best' is invalid"],
    ["sample", "--pretrained --variance fixed_large", "only a DDPM's own sampler has one"],
    ["sample", "--pretrained --class hat", "--class hat: there are 0 T-shirt/top, 1 Trouser"],
    ["sample", "--pretrained --sampler best", "Allowed choices are dpm-solver, "],
    ["sample", "--pretrained --sampler consistency", "the shipped model edm is of no consistency tuning"],
    [
      "sample",
      "--pretrained lesson --sampler heun --variance fixed_large",
      "only a DDPM's own sampler has one",
    ],
    ["sample", "--pretrained --inpaint a.png", "give the picture of which the rest is kept as --image"],
    ["sample", "--pretrained --strength 0.5", "--strength 0.5: it is of --image without --inpaint"],
    ["sample", "--pretrained --interpolate --image a.png", "leave out --image"],
    ["sample", "--pretrained --image /nowhere.png", "--image /nowhere.png: it cannot be read"],
    ["sample", "--pretrained --image README.md", "--image README.md: it is no PNG"],
    ["evaluate", "--run gone", "There is no run ", "runs/gone. "],
    ["evaluate", "--pretrained --data /nowhere", "--data /nowhere does not hold all of"],
    ["import", "a/...", 'a/...: "..." is no name of a run: give --name'],
    ["train", "--begin /nowhere", "--begin /nowhere: there is no such file"],
    ["export", "gone dir", "There is no run ", "runs/gone. "],
    ["export", "run", "missing required argument 'dir'"],
    ["export", "a/b dir", "'a/b' is invalid for argument 'run'. It must be a name, not a path"],
    ["export", "run dir --to keras", "'keras' is invalid. Allowed choices are diffusers"],
    ["score", "gone", "There is no run ", "runs/gone. "],
    ["score", "a/b", "a/b: there is no such file"],
    ["score", ".hidden", "'.hidden' is invalid for argument 'run'. It must be a name, not a path"],
    ["score", "a/b --pretrained", "a/b and --pretrained: give one of them"],
    ["score", "a/b --average 0.1", "--average 0.1: a file has one length"],
    ["score", "--pretrained --samplers heun,best", '"best" is none of dpm-solver, '],
    ["score", "--pretrained --samplers consistency", "the shipped model edm is of no consistency tuning"],
    ["score", "--pretrained --steps 5,x", "It must be positive whole numbers with commas"],
    [
      "score",
      "--pretrained lesson --steps 5,1001",
      "--steps 1001: the shipped model lesson has 1000 diffusion steps",
    ],
    [
      "score",
      "--pretrained lesson --guidance 2",
      "--guidance 2: the shipped model lesson knows of no classes",
    ],
    ["score", "--pretrained --guidance-interval 0.2,5", "--guidance-interval says where there is --guidance"],
    ["score", "--pretrained --out README.md", "nothing can be written there"],
    ["score", "--pretrained --data /nowhere", "--data /nowhere does not hold all of"],
    ["bench", "--only nothing", "--only nothing: no case has that in its title"],
    ["bench", "--only nothing --device webgpu", "--only nothing: no case has that in its title"],
    ["bench", "--images 4", "--images: --device wasm has no use for it"],
    ["bench", "--device webgpu --rounds 4", "--rounds: --device webgpu has no use for it"],
    ["bench", "--json tests", "--json tests: that is a folder"],
    ["browser", "--no-serve --out README.md", "--out README.md: nothing can be written there"],
    ["test", "--device foo", "Allowed choices are auto, webgpu, wasm"],
    ["build:subset", "--data /nowhere", "--data /nowhere does not hold all of"],
  ];
  for (const [task, args, ...said] of cases) await assertWrong(task, args.split(" "), said);
});

usageTest("browser without Deno's bundler says that Deno fetches it once, and what to do", async () => {
  const dir = await Deno.makeTempDir(), { bundle } = Deno;
  // What Deno 2.9.6 says with an empty DENO_DIR and no network.
  const said =
    'Failed loading https://registry.npmjs.org/@esbuild%2flinux-x64 for package "@esbuild/linux-x64"';
  try {
    Object.assign(Deno, { bundle: () => Promise.reject(new Error(said)) });
    const without = await call("browser", ["--no-serve", "--out", dir]);
    assertEquals(without.code, 1, without.said);
    for (const part of ["call `deno task browser` once with a network", said]) {
      assert(without.said.includes(part), without.said);
    }
  } finally {
    Object.assign(Deno, { bundle });
    await Deno.remove(dir, { recursive: true });
  }
});

usageTest("browser refuses a port that is in use as wrong use", async () => {
  const dir = await Deno.makeTempDir(), taken = Deno.listen({ hostname: "localhost", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  try {
    await assertWrong("browser", ["--port", `${port}`, "--out", dir], [
      `--port ${port}: it is in use; give another`,
    ]);
  } finally {
    taken.close();
    await Deno.remove(dir, { recursive: true });
  }
});
