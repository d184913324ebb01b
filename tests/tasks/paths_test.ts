/** Where a task reads and writes: from where it is called, under the permissions of deno.json, without following links out. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { gzip, idx, range } from "../datasets/files.ts";
import { wasmOnly } from "../support.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const SAMPLE = "sample --pretrained --device wasm --n 1 --steps 2 --seed 1".split(" ");
const TRAIN =
  ("train --device wasm --channels 4,4 --groups 2 --layers 1 --head-dim 4 --size 8 --steps 5 --batch 16 --limit 16 " +
    "--test-limit 16 --epochs 1 --samples 0").split(" ");

/** Runs `deno task …` from a folder. */
async function call(cwd: string, args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "--config", `${ROOT}deno.json`, ...args],
    cwd,
    env: { NO_COLOR: "1", INIT_CWD: cwd, ...env },
    signal: AbortSignal.timeout(60_000),
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, err };
}

/** A test with a folder outside the project and one in it. */
function pathsTest(name: string, fn: (outside: string, inside: string) => Promise<void>): void {
  Deno.test({
    name,
    ...wasmOnly,
    async fn() {
      const outside = await Deno.realPath(await Deno.makeTempDir({ prefix: "a b " }));
      await Deno.mkdir(`${ROOT}runs`, { recursive: true });
      const inside = await Deno.makeTempDir({ dir: `${ROOT}runs`, prefix: "test-" });
      try {
        await fn(outside, inside);
      } finally {
        await Deno.remove(outside, { recursive: true });
        await Deno.remove(inside, { recursive: true });
      }
    },
  });
}

const namesIn = async (dir: string) => (await Array.fromAsync(Deno.readDir(dir))).map((f) => f.name).sort();

pathsTest("paths are meant from where the caller stands, outside the project too", async (outside) => {
  const drawn = await call(outside, [...SAMPLE, "--out", "new/folder/a.png"]);
  assertEquals(drawn.code, 0, drawn.err);
  assert(drawn.out.includes(`Wrote ${outside}/new/folder/a.png and ${outside}/new/folder/a.gif`), drawn.out);
  assertEquals(await namesIn(`${outside}/new/folder`), ["a.gif", "a.png"]);
  const trained = await call(outside, [...TRAIN, "--runs", "mine", "--name", "a"]);
  assertEquals(trained.code, 0, trained.err);
  assert((await namesIn(`${outside}/mine/a`)).includes("model.safetensors"));
  const again = await call(outside, ["sample", "--runs", "mine", "--n", "1", "--device", "wasm"]);
  assertMatch(again.out, /mine\/a\/samples\.gif \(run a/, again.err);
});

pathsTest(
  "what lies in the project is named so that a caller elsewhere finds it",
  async (outside, inside) => {
    const dir = `${inside}-run`, name = dir.split("/").at(-1)!;
    try {
      const trained = await call(outside, [...TRAIN, "--name", name]);
      assertEquals(trained.code, 0, trained.err);
      assert(trained.out.includes(`Run ${dir}: `) && trained.out.includes(`Wrote ${dir}: `), trained.out);
      const taken = await call(outside, [...TRAIN, "--name", name]);
      assert(taken.err.includes(`${dir} exists: give another --name, or --resume ${name}`), taken.err);
      const drawn = await call(outside, ["sample", "--run", name, "--n", "1", "--device", "wasm"]);
      assert(drawn.out.includes(`Wrote ${dir}/samples.png and ${dir}/samples.gif`), drawn.out);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);

pathsTest(
  "a run goes on with its own data and samples, from wherever it is resumed",
  async (outside, inside) => {
    await Deno.mkdir(`${outside}/data`);
    for (const half of ["train", "t10k"]) {
      const images = idx([32, 28, 28], range(32 * 784).map((i) => (i * 7) % 256));
      await Deno.writeFile(`${outside}/data/${half}-images-idx3-ubyte.gz`, await gzip(images));
      await Deno.writeFile(
        `${outside}/data/${half}-labels-idx1-ubyte`,
        idx([32], range(32).map((i) => i % 10)),
      );
    }
    const args = [...TRAIN, "--runs", "runs", "--name", "a", "--data", "data", "--samples", "2"];
    const begun = await call(outside, args);
    assertEquals(begun.code, 0, begun.err);
    const config = JSON.parse(await Deno.readTextFile(`${outside}/runs/a/config.json`));
    assertEquals([config.dataSource, config.samples], [`${outside}/data`, 2]);
    const again = await call(outside, ["train", "--runs", "runs", "--resume", "a", "--device", "wasm"]);
    assertEquals(again.code, 0, again.err);
    assert(again.err.includes(`Data: Fashion-MNIST from ${outside}/data`), again.err);
    await Deno.rename(`${outside}/data`, `${inside}/data`);
    const gone = await call(outside, ["train", "--runs", "runs", "--resume", "a", "--device", "wasm"]);
    assertEquals(gone.code, 1, gone.err);
    assert(gone.err.includes(`was trained on other data: ${outside}/data`), gone.err);
    const moved = await call(outside, [
      "train",
      "--runs",
      "runs",
      "--resume",
      "a",
      "--data",
      `${inside}/data`,
    ]);
    assertEquals(moved.code, 0, moved.err);
  },
);

pathsTest(
  "a place that a task may not write to is refused before the work, with what would do",
  async (outside, inside) => {
    for (
      const [args, option, folder] of [
        [[...SAMPLE, "--out", `${outside}/a.png`], "--out", outside],
        [[...TRAIN, "--runs", `${outside}/runs`], "--runs", `${outside}/runs`],
        [["browser", "--no-serve", "--out", `${outside}/page`], "--out", `${outside}/page`],
      ] as const
    ) {
      const { code, out, err } = await call(inside, [...args]);
      assertEquals([code, out], [2, ""], err);
      assert(err.startsWith(`error: ${option} ${outside}/`), err);
      assert(
        err.includes(
          `may write in ${
            ROOT.slice(0, -1)
          } and ${inside} alone. Call it from there: mkdir -p '${folder}' && cd '${folder}' &&`,
        ),
        err,
      );
      assert(!err.includes("Device:"), err);
    }
    assertEquals(await namesIn(outside), []);
  },
);

pathsTest("a symbolic link leads no writing out, nor reading of runs", async (outside, inside) => {
  await Deno.symlink(outside, `${inside}/link`);
  for (
    const args of [
      [...SAMPLE, "--out", "link/a.png"],
      [...TRAIN, "--runs", "link"],
      ["sample", "--runs", "link"],
      ["browser", "--no-serve", "--out", "link/page"],
    ]
  ) {
    const { code, err } = await call(inside, args);
    assertEquals(code, 2, err);
    assertMatch(err, new RegExp(`link.*: leads to ${outside}.*, and this task may (read|write) in`));
  }
  const runs = `${inside}/runs`;
  assertEquals((await call(inside, [...TRAIN, "--runs", "runs", "--name", "a"])).code, 0);
  await Deno.rename(`${runs}/a`, `${outside}/a`);
  await Deno.symlink(`${outside}/a`, `${runs}/a`);
  const before = await namesIn(`${outside}/a`);
  for (
    const args of [["train", "--runs", "runs", "--resume", "a"], ["sample", "--runs", "runs", "--run", "a"]]
  ) {
    const { code, err } = await call(inside, args);
    assertEquals(code, 2, err);
    assert(err.includes(`leads to ${outside}/a`), err);
  }
  assertEquals(await namesIn(`${outside}/a`), before);
  // A link in the place of a file is replaced, and what it names stays.
  await Deno.writeTextFile(`${outside}/kept`, "kept");
  await Deno.symlink(`${outside}/kept`, `${inside}/a.png`);
  assertEquals((await call(inside, [...SAMPLE, "--out", "a.png"])).code, 0);
  assertEquals(await Deno.readTextFile(`${outside}/kept`), "kept");
});

pathsTest("a link that leads nowhere is named with what it leads to", async (_, inside) => {
  await Deno.symlink("/missing", `${inside}/gone`);
  for (
    const args of [
      [...SAMPLE, "--out", "gone/a.png"],
      [...TRAIN, "--runs", "gone"],
      [...TRAIN, "--runs", "gone/deeper"],
      ["sample", "--runs", "gone"],
      ["evaluate", "--data", "gone"],
      ["browser", "--no-serve", "--out", "gone"],
    ]
  ) {
    const { code, err } = await call(inside, args);
    assertEquals(code, 2, err);
    assert(err.startsWith(`error: ${args.at(-2)} ${inside}/${args.at(-1)}: `), err);
    assert(err.includes(`: ${inside}/gone is a link to /missing, which is not there`), err);
  }
  await Deno.mkdir(`${inside}/runs`);
  await Deno.symlink("/etc", `${inside}/runs/etc`);
  const named = await call(inside, [...TRAIN, "--runs", "runs", "--name", "etc"]);
  assertEquals(named.code, 2, named.err);
  assert(named.err.trimEnd().endsWith("runs/etc exists: give another --name"), named.err);
});

pathsTest(
  "what is allowed: the project, where the caller stands, and the user's cache, wherever it is",
  async () => {
    const grants = async (env: Record<string, string>, names = ["project", "caller", "cache"]) => {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", "--allow-env", `${ROOT}tasks/grants.ts`, ...names],
        env: {
          DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
          PATH: Deno.env.get("PATH")!,
          ...env,
        },
        clearEnv: true,
      }).output();
      return new TextDecoder().decode(stdout).trim();
    };
    assertEquals(
      await grants({ HOME: "/home/a b", INIT_CWD: "/c d" }),
      ".,/c d,/home/a b/.cache/denoise/fashion-mnist",
    );
    assertEquals(
      await grants({ HOME: "/h", XDG_CACHE_HOME: "/x y", INIT_CWD: "/c" }),
      ".,/c,/x y/denoise/fashion-mnist",
    );
    assertEquals(
      await grants({ HOME: "/h", XDG_CACHE_HOME: "", INIT_CWD: "/c" }),
      ".,/c,/h/.cache/denoise/fashion-mnist",
    );
    assertEquals(await grants({ HOME: "", INIT_CWD: "/c" }), ".,/c,.cache");
    assertEquals(await grants({ HOME: "/a,/etc", INIT_CWD: "/,b" }), ".,runs,.cache");
    const pictures = ["decoded", "downloads", "hub"];
    assertEquals(
      await grants({ HOME: "/h" }, pictures),
      "/h/.cache/denoise/pictures,/h/.cache/denoise/downloads,/h/.cache/huggingface/hub",
    );
    assertEquals(await grants({ HOME: "/h", HF_HOME: "/f" }, ["hub"]), "/f/hub");
    assertEquals(await grants({ HOME: "" }, pictures), ".cache/pictures,.cache/downloads,.cache/hub");
  },
);

pathsTest(
  "no task has all permissions, nor one to a place that is made of an unset variable",
  async (outside) => {
    const { tasks }: { tasks: Record<string, { command: string }> } = JSON.parse(
      await Deno.readTextFile(`${ROOT}deno.json`),
    );
    for (const [name, { command }] of Object.entries(tasks)) {
      assert(
        !/ (-A|--allow-all|--allow-write|--allow-run|--allow-net)(?= )/.test(command),
        `${name}: ${command}`,
      );
      assert(!/\$(HOME|XDG)/.test(command), `${name}: ${command}`);
      assert(command.includes("--no-prompt"), `${name}: ${command}`);
    }
    const home = `${outside}/my home`;
    await Deno.mkdir(home);
    const DENO_DIR = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
    const { code, err } = await call(outside, [...TRAIN, "--runs", "r"], {
      HOME: home,
      XDG_CACHE_HOME: "",
      DENO_DIR,
    });
    assertEquals(code, 0, err);
  },
);
