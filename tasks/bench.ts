/** `deno task bench`: our kernels and models against stock tfjs and PyTorch, alternating in one run. */
import { existsSync } from "node:fs";
import os from "node:os";
import { sweepTemporaryFiles, writeFile } from "../core/mod.ts";
import {
  type DeviceChoice,
  encodeSafetensors,
  HostArray,
  noGrad,
  setSeed,
  type Tensor,
  tf,
  toTorch,
} from "../mod.ts";
import { startWasm } from "../core/device/wasm/start.ts";
import {
  type Case,
  KERNELS,
  makeNetwork,
  MEMORY,
  MODELS,
  prepare,
  prepareModel,
  title as titleOf,
} from "../bench/cases.ts";
import { DATA, dataTitle, prepareData, writeFolder } from "../bench/data.ts";
import { measure, median } from "../bench/measure.ts";
import { Peer } from "../bench/peer.ts";
import { peaks } from "../bench/peaks.ts";
import { markdown, mergeRows, type Report, type Row, table } from "../bench/report.ts";
import { gpuMarkdown, type GpuRow, gpuTable, mergeSections, stepCost } from "../bench/webgpu.ts";
import { command as makeCommand, main, number, parse, path, UsageError, whole } from "./cli.ts";
import { deviceOption, startDevice, threadsOption } from "./device.ts";
import { inProject, ROOT } from "./caller.ts";
import { requireFile } from "./paths.ts";
import { endOnStop, finishOnStop } from "./stop.ts";

const BENCH = `${ROOT}bench/`;
const GOLDEN = `${ROOT}tests/golden/unet-tiny.safetensors`;

const command = makeCommand(
  "bench",
  "Times our kernels and models beside stock tfjs and PyTorch; prints a table and writes JSON",
)
  .addOption(
    deviceOption("wasm: times; webgpu: dispatches, bytes and kernel times of training steps; auto").default(
      "wasm",
    ),
  )
  .addOption(threadsOption("threads of ours and of PyTorch's (default: the machine's cores)"))
  .option(
    "--images <n>",
    "images of a training step on WebGPU, which batch norm needs two of",
    whole(2, 4096),
    2,
  )
  .option("--only <text>", "cases whose title holds this text, such as conv or U-Net")
  .option("--rounds <n>", "times that every case is measured on each side", whole(1, 99), 3)
  .option("--ms <n>", "shortest time of one measurement, in ms", number(1, 60_000), 60)
  .option("--json <path>", "where the figures go (default: bench/results.json, results-webgpu.json)", path)
  .option("--readme", "also put the table into bench/README.md; of --only, its rows")
  .option("--no-peers", "ours alone");

interface Options {
  device: DeviceChoice;
  images: number;
  only?: string;
  rounds: number;
  ms: number;
  json?: string;
  readme?: boolean;
  peers: boolean;
}

/** The processor's name, and nothing else of the machine. */
function cpu(): string {
  return os.cpus()[0]?.model || `${Deno.build.arch}, ${Deno.build.os}`;
}

/**
 * PyTorch, checked against the reference tensors, where there is one. Its OpenMP threads wait spinning unless told to
 * be passive, which can slow it down or speed it up by half: it takes part both ways.
 */
async function startPyTorch(env: Record<string, string>): Promise<Peer | null> {
  for (const python of ["/usr/bin/python3", "python3"]) {
    const peer = await Peer.start(python, ["-u", `${BENCH}peers/pytorch.py`], env);
    if (!peer) continue;
    const { error, missing } = await peer.ask({ check: GOLDEN });
    if (error === undefined || error > 1e-3) {
      throw new Error(`PyTorch's U-Net is not Diffusers': relative error ${error ?? missing}`);
    }
    console.error(`${peer.name}: its U-Net is within ${error.toExponential(1)} of Diffusers' tensors`);
    return peer;
  }
  return null;
}

/** Weights, and an output for an input, which the peer must reproduce before it is timed. */
async function exportModel(c: Case, path: string): Promise<ReturnType<typeof makeNetwork>> {
  setSeed(7);
  const model = makeNetwork(c);
  const side = c.kind === "unet" ? 32 : 28;
  const [x, y] = noGrad(() =>
    tf.tidy((): Tensor[] => {
      const x = tf.randomNormal([4, side, side, 1], 0, 1, "float32", 5);
      return [x, model.call(c.kind === "unet" ? [x, tf.fill([4], 321)] as never : x as never)];
    })
  );
  const flat = async (t: Tensor) => new HostArray((await HostArray.from(t)).data, [t.size]);
  const tensors = { ...await toTorch(model.stateDict()), "check.x": await flat(x), "check.y": await flat(y) };
  tf.dispose([x, y]);
  await writeFile(path, encodeSafetensors(tensors));
  return model;
}

/** Where the figures go, which can be written there. */
async function chooseJson({ json }: Options, name: string): Promise<string> {
  return await requireFile("--json", json ?? inProject(`bench/${name}.json`));
}

/** Writes the figures, and with `--readme` the table between two comments of bench/README.md. */
async function write(
  options: Options,
  json: string,
  figures: unknown,
  marks: string,
  text: string,
  merge: (old: string, text: string) => string,
): Promise<void> {
  finishOnStop(() => console.error("\nStopping when the figures are written"));
  await writeFile(json, JSON.stringify(figures, null, 1) + "\n");
  console.log(`Wrote ${json}`);
  if (!options.readme) return;
  const path = await requireFile("--readme", `${BENCH}README.md`), old = await Deno.readTextFile(path);
  const place = new RegExp(`(<!-- ${marks} -->\n)([^]*)(<!-- end ${marks} -->)`);
  const put = (before: string) => options.only === undefined ? text : merge(before, text);
  await writeFile(path, old.replace(place, (_, begin, before, end) => begin + put(before) + end));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", path] }).output();
  console.log(`Wrote ${path}`);
}

const title = (c: Case): string => DATA.includes(c) ? dataTitle(c) : titleOf(c);

/** The cases that are asked for. */
function choose(cases: Case[], { only = "" }: Options): Case[] {
  const chosen = cases.filter((c) => title(c).includes(only));
  if (chosen.length === 0) throw new UsageError(`--only ${only}: no case has that in its title`);
  return chosen;
}

/** `--device webgpu`: what training steps cost a GPU. */
async function benchWebgpu(options: Options): Promise<void> {
  const steps = MODELS.filter((c) => c.part === "step").map((c) => ({ ...c, n: options.images }));
  const chosen = choose(steps, options), json = await chooseJson(options, "results-webgpu");
  await startDevice(command); // or an error that says why not
  const rows: GpuRow[] = [];
  for (const c of chosen) {
    const ours = await stepCost("ours", c);
    const stock = options.peers ? await stepCost("stock", c) : undefined;
    rows.push({ title: title(c), case: c, ours, stock });
    console.log(gpuTable(rows.at(-1)!) + "\n");
  }
  await write(options, json, rows, "webgpu", gpuMarkdown(rows), mergeSections);
}

/** `--device wasm`: the times of kernels and models on each side, and the memory of training. */
async function benchWasm(options: Options): Promise<void> {
  const all = choose([...KERNELS, ...MODELS, ...DATA, ...MEMORY], options);
  const [chosen, memory] = [all.filter((c) => !MEMORY.includes(c)), all.filter((c) => MEMORY.includes(c))];
  const json = await chooseJson(options, "results");
  const device = await startDevice(command);
  const { pool } = await startWasm(device.threads);
  const counts = device.threads > 1 ? [1, device.threads] : [1];
  const torch = options.peers ? await startPyTorch({}) : null;
  const passive = torch && await startPyTorch({ OMP_WAIT_POLICY: "PASSIVE" });
  const stock = options.peers
    ? await Peer.start(Deno.execPath(), [
      "run",
      "--no-lock",
      "--no-prompt",
      "--allow-read",
      "--allow-env",
      `${BENCH}peers/tfjs.ts`,
    ])
    : null;
  const peak = await peaks(pool, counts);
  const report: Report = {
    cpu: cpu(),
    threads: device.threads,
    simd: pool.relaxed ? "relaxed" : "plain",
    peers: [stock, torch].flatMap((p) => p ? [p.name] : []),
    peak,
    rows: [],
    memory: [],
  };
  const weights = `${BENCH}.weights.tmp`, pictures = `${BENCH}.pictures.tmp`;
  const removeFiles = () => {
    for (const path of [weights, pictures]) if (existsSync(path)) Deno.removeSync(path, { recursive: true });
  };
  removeFiles(); // of a bench that was killed
  await sweepTemporaryFiles(weights);
  await endOnStop(() => {
    for (const peer of [torch, passive, stock]) peer?.stop();
    removeFiles();
    return "Stopped: nothing was written";
  });
  try {
    for (const c of chosen) {
      setSeed(1);
      const whole = MODELS.includes(c), isData = DATA.includes(c);
      if (isData && !existsSync(pictures)) await writeFolder(c, pictures);
      const prepareOurs = async () => {
        if (isData) return await prepareData(c, pictures, counts, () => pool.threads);
        return whole ? prepareModel(c, await exportModel(c, weights)) : prepare(c);
      };
      const ours = await prepareOurs();
      const files = isData ? { dir: pictures } : whole ? { weights } : undefined;
      const question = { ...c, ...files };
      const times: Record<string, number[]> = {};
      /** Lets the other sides' threads fall asleep. */
      const quiet = () => new Promise((resolve) => setTimeout(resolve, 30));
      const add = (side: string, ms: number | string | undefined) => {
        if (typeof ms === "number") (times[side] ??= []).push(ms);
        else if (ms) console.error(`${title(c)}: ${side}: ${ms}`);
      };
      for (let round = 0; round < options.rounds; round++) {
        for (const threads of counts) {
          await quiet();
          pool.limitThreads(threads);
          add(`ours ${threads}`, await measure(ours.run, options.ms));
          add(`torch ${threads}`, await torch?.time(question, threads, options.ms));
          add(`passive ${threads}`, await passive?.time(question, threads, options.ms));
        }
        await quiet();
        const time = whole || isData ? undefined : await stock?.time(c, 1, options.ms);
        if (typeof time === "number") add("stock 1", time);
      }
      ours.free();
      const row: Row = {
        title: title(c),
        case: c,
        ms: Object.fromEntries(Object.entries(times).map(([side, all]) => [side, median(all)])),
      };
      report.rows.push(row);
      console.log(table(report, row));
    }
  } finally {
    torch?.stop();
    passive?.stop();
    stock?.stop();
  }
  for (const c of memory) {
    (await exportModel(c, weights)).dispose();
    const args = ["run", "-A", `${BENCH}memory.ts`, JSON.stringify(c)];
    const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
    const peer = torch && await startPyTorch({});
    const row = {
      title: title(c),
      ours: Number(new TextDecoder().decode(stdout)),
      torch: (await peer?.ask({ memory: { ...c, weights }, threads: device.threads }))?.mib,
    };
    peer?.stop();
    report.memory.push(row);
    console.log(
      `${row.title}: peak resident memory ${row.ours} MiB, PyTorch's ${row.torch ?? "not measured"}`,
    );
  }
  removeFiles();
  await write(options, json, report, "table", markdown(report), mergeRows);
}

/** Options that one device has no use for. */
const FOR_ANOTHER: Record<string, string[]> = { wasm: ["images"], webgpu: ["rounds", "ms"] };

/** `deno task bench`. */
export async function bench(args: string[]): Promise<void> {
  const options = parse<Options>(command, args, ["json"]);
  const name = options.device === "auto" ? (await startDevice(command)).name : options.device;
  const vain = FOR_ANOTHER[name].find((key) => command.getOptionValueSource(key) === "cli");
  if (vain) throw new UsageError(`--${vain}: --device ${name} has no use for it`);
  await (name === "webgpu" ? benchWebgpu(options) : benchWasm(options));
}

if (import.meta.main) await main(bench);
