/**
 * Presses Ctrl-C once in a terminal, at random moments, over all tasks. `deno run -A tests/soak/presses.ts [presses]` does
 * 20 and prints figures.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Terminal } from "../tasks/terminal.ts";
import {
  checkSame,
  checkWhole,
  LIMIT_MS,
  list,
  ROOT,
  runTask,
  strays,
  TRAINING,
  type Training,
  withRuns,
} from "./tasks.ts";

/** What a soak came to. */
export interface Presses {
  /** Presses by task. */
  pressed: Record<string, number>;
  /** Of them, those that came after the task had ended. */
  late: number;
  /** Longest time from a press to the task's end, in ms. */
  slowestMs: number;
  /** Runs that were stopped and gone on with to the unbroken run's numbers. */
  resumed: number;
}

/** A task is to have ended this long after a press, on a machine that does much else. */
const BOUND_MS = 60_000;
/** What is shown when a task's work has begun. */
const WORKING = /^Run |sampling|draw 1|softmax/m;
/** Random moments lie within this time after the first output, or after the work has begun. */
const MOMENT_MS = 5000;

/** Runs a task in a terminal, presses once, and gives the exit code and what was shown. */
async function press(soak: Presses, task: string, args: string): Promise<{ code: number; shown: string }> {
  const terminal = new Terminal(`deno task --quiet ${task} ${args}`, { cwd: ROOT, limitMs: LIMIT_MS });
  await terminal.until(Math.random() < 0.3 ? /\S/ : WORKING);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * MOMENT_MS));
  const pressedAt = performance.now();
  await terminal.press();
  const code = await terminal.ended, { shown } = terminal;
  const ms = performance.now() - pressedAt;
  assert(ms < BOUND_MS, `${task} ended ${ms} ms after Ctrl-C:\n${shown}`);
  soak.slowestMs = Math.max(soak.slowestMs, Math.round(ms));
  soak.pressed[task] = (soak.pressed[task] ?? 0) + 1;
  if (code === 0) soak.late++;
  else assertEquals(code, 130, shown);
  return { code, shown };
}

/** Stops a task that trains, goes on with it, and compares with the unbroken run. */
async function pressTraining(soak: Presses, task: Training, presses: number, runs: string): Promise<void> {
  const options = `--runs ${runs}`, whole = `${runs}/whole-${task}`;
  await runTask(task, `${options} ${TRAINING[task]} --name whole-${task}`);
  for (let i = 0; i < presses; i++) {
    const name = `${task}-${i}`, dir = `${runs}/${name}`;
    const { code, shown } = await press(soak, task, `${options} ${TRAINING[task]} --name ${name}`);
    assertEquals(strays(await list(dir)), []);
    await checkWhole(dir);
    const files = await list(dir);
    if (code !== 0 && files.length === 0) {
      assertMatch(shown, /Stopped: nothing was written|^\^C\s*$/m);
      continue;
    }
    if (code !== 0) {
      assertMatch(
        shown,
        new RegExp(`deno task ${task} --resume ${name}|when the files are written|^Wrote`, "m"),
      );
      assert(files.includes("checkpoint.safetensors") && files.includes("model.safetensors"), `${files}`);
    }
    await runTask(task, `${options} --resume ${name}`);
    await checkSame(task, dir, whole);
    if (code !== 0) soak.resumed++;
  }
}

/** Presses as often as asked, over all tasks; at least once in each. */
export async function soakPresses(presses: number): Promise<Presses> {
  const soak: Presses = { pressed: {}, late: 0, slowestMs: 0, resumed: 0 };
  await withRuns(async (runs) => {
    const share = (part: number) => Math.max(1, Math.round(presses * part));
    await pressTraining(soak, "train", share(0.4), runs);
    await pressTraining(soak, "classify", share(0.2), runs);
    const run = `--runs ${runs} --device wasm`;
    for (let i = 0; i < share(0.2); i++) {
      await Deno.mkdir(`${runs}/drawn-${i}`);
      const { code, shown } = await press(
        soak,
        "sample",
        `${run} --pretrained lesson --n 4 --out ${runs}/drawn-${i}/a.png`,
      );
      if (code !== 0) assertMatch(shown, /Stopped: (nothing|.*a\.png) was written|^Wrote|^\^C\s*$/m);
      await checkWhole(`${runs}/drawn-${i}`);
      assertEquals(strays(await list(`${runs}/drawn-${i}`)), []);
    }
    for (let i = 0; i < share(0.1); i++) {
      const { code, shown } = await press(soak, "evaluate", `${run} --pretrained lesson`);
      if (code !== 0) {
        assertMatch(shown, /Stopped(: no draw was measured| after \d of 5 draws)|written|^\^C\s*$/m);
      }
    }
    for (let i = 0; i < share(0.1); i++) {
      const { code, shown } = await press(
        soak,
        "bench",
        `--no-peers --only softmax --json ${runs}/timed.json`,
      );
      if (code !== 0) assertMatch(shown, /Stopped: nothing was written|are written|Wrote|^\^C\s*$/m);
      assertEquals((await list(runs)).includes("timed.json"), shown.includes("Wrote"), shown);
    }
  });
  return soak;
}

if (import.meta.main) {
  const presses = Number(Deno.args[0] ?? 20);
  assert(presses > 0, "usage: presses.ts [presses]");
  console.log(await soakPresses(presses));
}
