/** `deno task bench`: our kernels and models against stock tfjs and PyTorch, alternating in one run. */
import {
  encodeSafetensors,
  HostArray,
  noGrad,
  setSeed,
  type Tensor,
  tf,
  toTorch,
  useDevice,
  writeFile,
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
  title,
} from "../bench/cases.ts";
import { measure, median } from "../bench/measure.ts";
import { Peer } from "../bench/peer.ts";
import { peaks } from "../bench/peaks.ts";
import { markdown, type Report, type Row, table } from "../bench/report.ts";
import { Command, main, number, UserError } from "./cli.ts";

const ROOT = new URL("../bench/", import.meta.url).pathname;
const GOLDEN = new URL("../tests/golden/unet-tiny.safetensors", import.meta.url).pathname;

const command = new Command("deno task bench")
  .description("Times our kernels and models beside stock tfjs and PyTorch; prints a table and writes JSON")
  .option("--only <text>", "cases whose title holds this text, such as conv or U-Net")
  .option("--rounds <n>", "times that every case is measured on each side", number(1, 99, true), 3)
  .option("--ms <n>", "shortest time of one measurement", number(1, 60_000), 60)
  .option(
    "--threads <n>",
    "threads of ours and of PyTorch's (default: the machine's cores)",
    number(1, 64, true),
  )
  .option("--json <path>", "where the figures go", "bench/results.json")
  .option("--readme", "also put the table into bench/README.md")
  .option("--no-peers", "ours alone")
  .exitOverride()
  .showHelpAfterError("(--help tells the options)");

interface Options {
  only?: string;
  rounds: number;
  ms: number;
  threads?: number;
  json: string;
  readme?: boolean;
  peers: boolean;
}

/** The processor's name, and nothing else of the machine. */
async function cpu(): Promise<string> {
  const info = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  return info.match(/^model name\s*:\s*(.*)$/m)?.[1] ?? `${Deno.build.arch}, ${Deno.build.os}`;
}

/**
 * PyTorch, checked against the reference tensors, where there is one. Its OpenMP threads wait spinning unless told to
 * be passive, which can slow it down or speed it up by half: it takes part both ways.
 */
async function startPyTorch(env: Record<string, string>): Promise<Peer | null> {
  for (const python of ["/usr/bin/python3", "python3"]) {
    const peer = await Peer.start(python, ["-u", `${ROOT}peers/pytorch.py`], env);
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

await main(async () => {
  const options = command.parse(Deno.args, { from: "user" }).opts<Options>();
  const asked = (c: Case) => title(c).includes(options.only ?? "");
  const chosen = [...KERNELS, ...MODELS].filter(asked);
  if (chosen.length + MEMORY.filter(asked).length === 0) {
    throw new UserError(`--only ${options.only}: no case has that in its title`);
  }
  const device = await useDevice("wasm", { threads: options.threads });
  const { pool } = await startWasm(device.threads);
  const counts = device.threads > 1 ? [1, device.threads] : [1];
  const torch = options.peers ? await startPyTorch({}) : null;
  const passive = torch && await startPyTorch({ OMP_WAIT_POLICY: "PASSIVE" });
  const stock = options.peers
    ? await Peer.start(Deno.execPath(), ["run", "--no-lock", "-A", `${ROOT}peers/tfjs.ts`])
    : null;
  const peak = await peaks(pool, counts);
  const report: Report = {
    cpu: await cpu(),
    threads: device.threads,
    simd: pool.relaxed ? "relaxed" : "plain",
    peers: [stock, torch].flatMap((p) => p ? [p.name] : []),
    peak,
    rows: [],
    memory: [],
  };
  const weights = await Deno.makeTempFile({ suffix: ".safetensors" });
  try {
    for (const c of chosen) {
      setSeed(1);
      const whole = MODELS.includes(c);
      const ours = whole ? prepareModel(c, await exportModel(c, weights)) : prepare(c);
      const question = whole ? { ...c, weights } : c;
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
        const time = whole ? undefined : await stock?.time(c, 1, options.ms);
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
  for (const c of MEMORY.filter(asked)) {
    (await exportModel(c, weights)).dispose();
    const args = ["run", "-A", `${ROOT}memory.ts`, JSON.stringify(c)];
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
  await Deno.remove(weights);
  await writeFile(options.json, JSON.stringify(report, null, 1) + "\n");
  console.log(`Wrote ${options.json}`);
  if (options.readme) {
    const path = `${ROOT}README.md`, text = await Deno.readTextFile(path);
    await writeFile(
      path,
      text.replace(/(<!-- table -->\n)[^]*(<!-- end -->)/, (_, a, b) => a + markdown(report) + b),
    );
    await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", path] }).output();
    console.log(`Wrote ${path}`);
  }
});
