/** What the tasks do when they are told to stop: by Ctrl-C in a terminal, by signals, once and again. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { wasmOnly } from "../support.ts";
import { testInDirectory } from "./task.ts";
import { hasTerminal, Terminal } from "./terminal.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const LIMIT_MS = 240_000;
/** A DDPM whose epochs take seconds. */
const TRAIN = "train --channels 8,8 --groups 4 --layers 1 --head-dim 4 --size 16 --steps 40 --batch 16 " +
  "--limit 640 --test-limit 320 --samples 4 --seed 7 --epochs 2 --device wasm";

const terminalTest = (name: string, fn: (dir: string) => Promise<void>) =>
  testInDirectory(name, fn, wasmOnly.ignore || !hasTerminal);

const list = async (dir: string) => (await Array.fromAsync(Deno.readDir(dir))).map((f) => f.name).sort();

for (const deno of ["deno", "npx --no-install deno@2.9.6"]) {
  const [command] = deno.split(" ");
  terminalTest(`Ctrl-C pressed once in a terminal saves (${command})`, async (dir) => {
    const there = await new Deno.Command("sh", { args: ["-c", `${deno} --version`] }).output();
    if (!there.success) return console.error(`${deno} does not run here: it is not tested`);
    const terminal = new Terminal(`${deno} task --quiet ${TRAIN} --runs ${dir} --name a`, {
      cwd: ROOT,
      limitMs: LIMIT_MS,
    });
    await terminal.until(/train +loss|items\/s/);
    await terminal.press();
    assertEquals(await terminal.ended, 130, terminal.shown);
    assertMatch(terminal.shown, /Stopping after this batch/);
    assertMatch(terminal.shown, /Stopped\. Go on with: deno task train --resume a/);
    assert((await list(`${dir}/a`)).includes("checkpoint.safetensors"));
  });
}

terminalTest("Ctrl-C before a run has begun leaves no directory", async (dir) => {
  const terminal = new Terminal(`deno task --quiet ${TRAIN} --runs ${dir} --name a`, {
    cwd: ROOT,
    limitMs: LIMIT_MS,
  });
  await terminal.until(/Device: wasm/);
  await terminal.press();
  assertEquals(await terminal.ended, 130, terminal.shown);
  assertMatch(terminal.shown, /Stopped: nothing was written/);
  assertEquals(await list(dir), []);
});

terminalTest("Ctrl-C while a run is being made leaves one that goes on", async (dir) => {
  const watcher = Deno.watchFs(dir);
  const terminal = new Terminal(`deno task --quiet ${TRAIN} --runs ${dir} --name a`, {
    cwd: ROOT,
    limitMs: LIMIT_MS,
  });
  for await (const { paths } of watcher) if (paths.some((path) => path.includes("/a/config.json"))) break;
  await terminal.press();
  assertEquals(await terminal.ended, 130, terminal.shown);
  assertMatch(terminal.shown, /Stopped\. Go on with: deno task train --resume a/);
  assert((await list(`${dir}/a`)).includes("checkpoint.safetensors"));
});

terminalTest("Ctrl-C while sample draws and evaluate measures says what was written", async (dir) => {
  for (
    const [command, seen, said] of [
      [`sample --n 1 --out ${dir}/a.png`, /sampling .* [1-9]\d*\/1000/, /Stopped: nothing was written/],
      ["evaluate", /draw 1 of 5/, /Stopped: no draw was measured/],
    ] as const
  ) {
    const terminal = new Terminal(`deno task --quiet ${command} --pretrained lesson --device wasm`, {
      cwd: ROOT,
      limitMs: LIMIT_MS,
    });
    await terminal.until(seen);
    await terminal.press();
    assertEquals(await terminal.ended, 130, terminal.shown);
    assertMatch(terminal.shown, said);
  }
  assertEquals(await list(dir), []);
});

/** A task of its own that never ends by itself and says when it has been told to stop. */
function startBody(body: string): Deno.ChildProcess {
  const source = `import { endOnStop, finishOnStop } from "${new URL(
    "../../tasks/stop.ts",
    import.meta.url,
  )}";
    import { main } from "${new URL("../../tasks/cli.ts", import.meta.url)}";
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const block = (ms) => { for (const end = Date.now() + ms; Date.now() < end;); };
    await main(async () => { ${body} });`;
  return new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=js", source],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).spawn();
}

/** Sends each signal when a line of stdout asks for it by "go"; gives the exit code and what was said. */
async function signalled(body: string, ...signals: Deno.Signal[]) {
  const child = startBody(body), lines: string[] = [];
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    for (const line of text.split("\n").filter(Boolean)) {
      lines.push(line);
      if (line === "go") child.kill(signals.shift()!);
    }
  }
  const { code } = await child.status;
  return { code, lines, err: (await new Response(child.stderr).text()).trim() };
}

testInDirectory(
  "SIGTERM stops as SIGINT does, each with its exit code",
  async () => {
    for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
      const ended = await signalled(
        `await endOnStop(() => "Stopped here"); console.log("go"); await sleep(100_000);`,
        signal,
      );
      assertEquals([ended.code, ended.err], [code, "Stopped here"]);
      const finished = await signalled(
        `let stop; const stopped = new Promise((resolve) => stop = resolve);
       finishOnStop(stop); console.log("go"); await stopped; console.log("saved");`,
        signal,
      );
      assertEquals([finished.code, finished.lines], [code, ["go", "saved"]], finished.err);
    }
  },
);

testInDirectory("a file that is being written when a task is stopped becomes whole", async (dir) => {
  const { code } = await signalled(
    `const { writeFile } = await import("${new URL("../../core/mod.ts", import.meta.url)}");
     await endOnStop(() => "Stopped");
     console.log("go");
     for (let i = 0;; i++) await writeFile("${dir}/" + i % 4, new Uint8Array(5e6 + i % 4));`,
    "SIGINT",
  );
  assertEquals(code, 130);
  for (const name of await list(dir)) {
    assertEquals((await Deno.stat(`${dir}/${name}`)).size, 5e6 + Number(name));
  }
});

testInDirectory(
  "a signal that waited behind a long batch is the same press; one a second later is another",
  async () => {
    const body = (between: string) =>
      `let stop; const stopped = new Promise((resolve) => stop = resolve);
     finishOnStop(stop); console.log("go"); await stopped; console.log("go"); ${between}
     await sleep(500); console.log("saved");`;
    const same = await signalled(body("block(3000);"), "SIGINT", "SIGINT");
    assertEquals([same.code, same.lines.at(-1)], [130, "saved"], same.err);
    const again = await signalled(
      `let stop; const stopped = new Promise((resolve) => stop = resolve);
     finishOnStop(stop); console.log("go"); await stopped; await sleep(1500); console.log("go");
     await sleep(100_000);`,
      "SIGINT",
      "SIGTERM",
    );
    assertEquals([again.code, again.lines], [143, ["go", "go"]], again.err);
  },
);

testInDirectory("told before a phase begins, the phase is not begun", async () => {
  const { code, lines, err } = await signalled(
    `let stop; const stopped = new Promise((resolve) => stop = resolve);
     finishOnStop(stop); console.log("go"); await stopped;
     await endOnStop(() => "Stopped: not drawn"); console.log("drawing");`,
    "SIGINT",
  );
  assertEquals([code, lines, err], [130, ["go"], "Stopped: not drawn"]);
});

/** A process that trains in a run's directory, as `lockRun` sees it. */
const LOCKS = `const { lockRun, makeRun, runFiles } = await import("${new URL(
  "../../tasks/runs.ts",
  import.meta.url,
)}");`;

testInDirectory("a run's directory is one process's; a process that is killed gives it back", async (dir) => {
  const make =
    `${LOCKS} await makeRun(runFiles("${dir}", "a"), {}); console.log("go"); await sleep(100_000);`;
  const holder = startBody(make), reader = holder.stdout.getReader();
  await reader.read();
  const other = await signalled(`${LOCKS} await lockRun(runFiles("${dir}", "a"));`);
  assertEquals(other.code, 1);
  assertMatch(other.err, /a is being trained by another process/);
  const named = await signalled(`${LOCKS} await makeRun(runFiles("${dir}", "a"), {});`);
  assertMatch(named.err, /a exists: give another --name/);
  holder.kill("SIGKILL");
  await holder.status;
  await reader.cancel();
  await holder.stderr.cancel();
  assertEquals((await signalled(`${LOCKS} await lockRun(runFiles("${dir}", "a"));`)).code, 0);
});

testInDirectory(
  "of processes that make one run at the same time one gets it; what a killed one left is taken",
  async (dir) => {
    await Deno.mkdir(`${dir}/a`);
    await Deno.writeTextFile(`${dir}/a/.lock`, "");
    const make =
      `${LOCKS} await makeRun(runFiles("${dir}", "a"), {}); console.log("made"); await sleep(3000);`;
    const all = await Promise.all(Array.from({ length: 3 }, () => signalled(make)));
    assertEquals(all.filter(({ code }) => code === 0).length, 1, JSON.stringify(all));
    for (const { code, err } of all.filter(({ code }) => code !== 0)) {
      assertEquals([code, err], [2, `error: ${dir}/a exists: give another --name, or --resume a`]);
    }
    await Deno.mkdir(`${dir}/mine`);
    await Deno.writeTextFile(`${dir}/mine/notes.txt`, "mine");
    const refused = await signalled(`${LOCKS} await makeRun(runFiles("${dir}", "mine"), {});`);
    assertMatch(refused.err, /mine exists: give another --name/);
    assertEquals(await list(`${dir}/mine`), ["notes.txt"]);
  },
);
