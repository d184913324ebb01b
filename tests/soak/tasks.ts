/** What the soaks of tasks share: tasks that end in seconds, and what must hold of the files of their runs. */
import { decode } from "npm:fast-png@8.0.0";
import { assert, assertEquals } from "@std/assert";
import { decodeSafetensors } from "../../mod.ts";

/** The project's directory. */
export const ROOT = new URL("../../", import.meta.url).pathname;
/** Longest that a task may take on a machine that does much else, in ms. */
export const LIMIT_MS = 240_000;

const SHARED = "--device wasm --epochs 2 --batch 16 --checkpoint-every 1 --seed 7";
/** Options of the tasks that train, with which they end in seconds. */
export const TRAINING = {
  train: `${SHARED} --channels 8,8 --groups 4 --layers 1 --head-dim 4 --size 16 --steps 20 --limit 64 ` +
    "--test-limit 32 --samples 2",
  classify: `${SHARED} --limit 32 --test-limit 16 --augment flip --passes 2`,
} as const;
/** A task that trains. */
export type Training = keyof typeof TRAINING;

/** Files that two runs of one config have bit by bit alike. */
const RESULTS: Record<Training, string[]> = {
  train: ["model.safetensors", "metrics.jsonl", "loss.svg", "samples.png"],
  classify: ["model.safetensors", "metrics.jsonl", "loss.svg", "report.json", "report.md"],
};

/** The names in a directory; none where it is not there. */
export async function list(dir: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Names of what a process that was killed was writing. */
export const strays = (names: string[]): string[] => names.filter((name) => name.endsWith(".tmp"));

/** Fails unless every file is whole. */
export async function checkWhole(dir: string): Promise<void> {
  for (const name of await list(dir)) {
    const path = `${dir}/${name}`, bytes = await Deno.readFile(path), text = new TextDecoder().decode(bytes);
    if (name === ".lock" || name.endsWith(".tmp")) continue;
    if (name.endsWith(".safetensors")) assert(Object.keys(decodeSafetensors(bytes).tensors).length, path);
    else if (name.endsWith(".json")) JSON.parse(text);
    else if (name.endsWith(".jsonl")) text.split("\n").filter(Boolean).forEach((line) => JSON.parse(line));
    else if (name.endsWith(".png")) assert(decode(bytes).width, path);
    else if (name.endsWith(".gif")) assert(text.startsWith("GIF89a") && bytes.at(-1) === 0x3b, path);
    else if (name.endsWith(".svg")) assert(text.trimEnd().endsWith("</svg>"), path);
    else assertEquals(name, "report.md");
  }
}

/** Fails unless a run came to what another of its config did, and holds nothing else. */
export async function checkSame(task: Training, dir: string, whole: string): Promise<void> {
  assertEquals(await list(dir), await list(whole));
  for (const name of RESULTS[task]) {
    const [a, b] = [await Deno.readFile(`${dir}/${name}`), await Deno.readFile(`${whole}/${name}`)];
    assert(a.length === b.length && a.every((byte, i) => byte === b[i]), `${dir}/${name} is not ${whole}'s`);
  }
}

/** Starts a task's module, with all permissions. */
export function startTask(task: string, args: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", `tasks/${task}.ts`, ...args.split(" ")],
    cwd: ROOT,
    env: { NO_COLOR: "1", DENOISE_THREADS: String(1 + Math.floor(2 * Math.random())) },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).spawn();
}

/** Runs a task to its end. */
export async function runTask(task: string, args: string): Promise<void> {
  const { code, stderr } = await startTask(task, args).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}

/** Calls a function with a directory for runs, which is removed afterwards. */
export async function withRuns<T>(body: (dir: string) => Promise<T>): Promise<T> {
  await Deno.mkdir(`${ROOT}runs`, { recursive: true });
  const dir = await Deno.makeTempDir({ dir: `${ROOT}runs`, prefix: "soak-" });
  try {
    return await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
