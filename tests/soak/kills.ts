/**
 * Kills tasks with SIGKILL at random moments and just after a file appeared, changed or was renamed, over all tasks that
 * write. `deno run -A tests/soak/kills.ts [kills]` does 200 and prints figures.
 */
import { assert, assertEquals } from "@std/assert";
import {
  checkSame,
  checkWhole,
  list,
  ROOT,
  runTask,
  startTask,
  strays,
  TRAINING,
  type Training,
  withRuns,
} from "./tasks.ts";

/** What a soak came to. */
export interface Kills {
  /** Processes that were killed, by task. */
  killed: Record<string, number>;
  /** Of them, just after an event of a file. */
  atEvents: number;
  /** Of them, before the run had a config. */
  beforeRun: number;
  /** Temporary files that kills left; every one was gone after the next start. */
  strays: number;
  /** Runs that came to their end after kills, each with the unbroken run's numbers. */
  ended: number;
}

/** Kills of one run before it is left to end. */
const MOST_IN_A_ROW = 8;
/** Events of files after which a kill comes, at most. */
const MOST_EVENTS = 24;
/** Random moments lie within this time after the first output. */
const MOMENT_MS = 4000;

/** Lets a task run until it ends or is killed; whether it was. */
async function runAndKill(soak: Kills, task: string, args: string, dir: string): Promise<boolean> {
  const child = startTask(task, args);
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  };
  const atEvent = Math.random() < 0.5;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const watcher = Deno.watchFs(dir);
  const watching = (async () => {
    let left = Math.floor(Math.random() * MOST_EVENTS);
    for await (const { kind } of watcher) if (atEvent && kind !== "access" && left-- === 0) kill();
  })();
  const said = (async () => {
    let text = "";
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (!atEvent) timer ??= setTimeout(kill, Math.random() * MOMENT_MS);
    }
    return text;
  })();
  await child.stdout.cancel();
  const { code, signal } = await child.status;
  clearTimeout(timer);
  watcher.close();
  await watching;
  const text = await said;
  if (signal !== "SIGKILL") {
    assertEquals(code, 0, text);
    return false;
  }
  soak.killed[task] = (soak.killed[task] ?? 0) + 1;
  if (atEvent) soak.atEvents++;
  return true;
}

/** Kills a task that trains until it has been killed often enough; every run ends with the unbroken one's numbers. */
async function killTraining(soak: Kills, task: Training, kills: number, runs: string): Promise<void> {
  const options = `--runs ${runs}`, whole = `${runs}/whole-${task}`;
  await Deno.mkdir(runs);
  await runTask(task, `${options} ${TRAINING[task]} --name whole-${task}`);
  let done = 0;
  for (let run = 0; done < kills; run++) {
    const name = `${task}-${run}`, dir = `${runs}/${name}`;
    let left: string[] = [], ended = false;
    for (let row = 0; !ended; row++) {
      const begun = (await list(dir)).includes("config.json");
      const args = begun ? `${options} --resume ${name}` : `${options} ${TRAINING[task]} --name ${name}`;
      if (row < MOST_IN_A_ROW && done < kills) {
        ended = !await runAndKill(soak, task, args, runs);
        if (!ended) done++;
        if (!ended && !(await list(dir)).includes("config.json")) soak.beforeRun++;
      } else {
        await runTask(task, args);
        ended = true;
      }
      await checkWhole(dir);
      const now = strays(await list(dir));
      soak.strays += now.filter((name) => !left.includes(name)).length;
      if (ended) assertEquals(now, []);
      left = now;
    }
    await checkSame(task, dir, whole);
    soak.ended++;
  }
}

/** Kills a task that writes what is whole or not there; the next start takes its strays away. */
async function killWriter(
  soak: Kills,
  task: string,
  args: string,
  kills: number,
  dir: string,
): Promise<void> {
  await Deno.mkdir(dir);
  for (let done = 0; done < kills;) {
    if (await runAndKill(soak, task, args, dir)) done++;
    await checkWhole(dir);
    soak.strays += strays(await list(dir)).length;
  }
  await runTask(task, args);
  await checkWhole(dir);
  assertEquals(strays(await list(dir)), []);
}

/** Kills tasks as often as asked, over all that write. */
export async function soakKills(kills: number): Promise<Kills> {
  const soak: Kills = { killed: {}, atEvents: 0, beforeRun: 0, strays: 0, ended: 0 };
  await withRuns(async (runs) => {
    const share = (part: number) => Math.round(kills * part);
    const [ddpms, classifiers, drawn, timed] = ["ddpms", "classifiers", "drawn", "timed"]
      .map((name) => `${runs}/${name}`);
    const drawing = `--runs ${ddpms} --run whole-train --device wasm --n 2 --seed 1 --out ${drawn}/a.png`;
    const timing = `--no-peers --only softmax --rounds 1 --ms 1 --json ${timed}/a.json`;
    await Deno.writeTextFile(`${ROOT}bench/.weights.tmp`, "of a bench that was killed");
    await Promise.all([
      killTraining(soak, "train", share(0.5), ddpms)
        .then(() => killWriter(soak, "sample", drawing, share(0.15), drawn)),
      killTraining(soak, "classify", share(0.25), classifiers)
        .then(() => killWriter(soak, "bench", timing, share(0.1), timed)),
    ]);
    assertEquals((await list(`${ROOT}bench`)).filter((name) => name.endsWith(".tmp")), []);
  });
  return soak;
}

if (import.meta.main) {
  const kills = Number(Deno.args[0] ?? 200);
  assert(kills > 0, "usage: kills.ts [kills]");
  console.log(await soakKills(kills));
}
