/**
 * Damaged files, from a seed: each is read right or refused with a clear error, in bounded time and memory. All of it:
 * `deno run -A tests/soak/files.ts`; a tenth: `--share 0.1`; other damage: `--seed 7`.
 */
import { equal } from "@std/assert";
import { gunzipSync } from "node:zlib";
import * as d from "../../mod.ts";
import { CLASSIFY_PRESETS, PRESETS } from "../../tasks/presets.ts";
import { formatMetrics, parseConfig, parseMetrics } from "../../tasks/schemas.ts";
import { Chance, mutateBytes, mutateJson } from "./mutate.ts";

/** What became of one file: read as it is, refused, or what is wrong. */
type Verdict = "right" | "refused" | { wrong: string };

/** What an error may not say: it comes from below, where nobody looked at the file. */
const FROM_BELOW =
  /Cannot (read|convert|mix|destructure)|is not (a function|iterable|an object)|undefined|call stack|Invalid (array|typed|string)|allocation|out of bounds/i;
const LONGEST_MESSAGE = 2000;

/** Whether an error tells a user which file is wrong and how. */
function judge(error: unknown, begins: string): Verdict {
  const { constructor, message } = error as Error;
  const clear = constructor === Error && message.startsWith(begins) && message.length < LONGEST_MESSAGE;
  if (clear && !FROM_BELOW.test(message.replace(/dtype undefined|range undefined|shape undefined/, ""))) {
    return "refused";
  }
  return { wrong: `${constructor.name}: ${message.slice(0, 300)}` };
}

/** A kind of files: how many, and what becomes of the one of a seed. */
interface Kind {
  count: number;
  read(chance: Chance): Verdict | Promise<Verdict>;
}

const floats = (n: number, salt = 0) => Float32Array.from({ length: n }, (_, i) => Math.sin(i + salt));

/** A safetensors file of this header. */
function withHeader(json: string, data: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(json), out = new Uint8Array(8 + head.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(head.length), true);
  out.set(head, 8);
  out.set(data, 8 + head.length);
  return out;
}

/** The header and the data of a file that is known to be valid. */
function parts(bytes: Uint8Array): { header: Record<string, unknown>; data: Uint8Array } {
  const end = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return { header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, end))), data: bytes.subarray(end) };
}

const bytesOf = ({ data }: d.HostArray) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const SAFETENSORS = d.encodeSafetensors({
  weight: new d.HostArray(floats(12), [3, 4]),
  "block.0.bias": new d.HostArray(floats(4, 1), [4]),
  steps: new d.HostArray(Int32Array.of(7), []),
  mask: new d.HostArray(Uint8Array.of(1, 0, 1), [3]),
  empty: new d.HostArray(new Float32Array(0), [0, 5]),
}, { note: "héllo" });

/** A damaged safetensors file: bytes, or the header alone. */
export function damagedSafetensors(chance: Chance): Uint8Array {
  if (chance.below(2)) return mutateBytes(SAFETENSORS, chance);
  const { header, data } = parts(SAFETENSORS);
  return withHeader(mutateJson(header, chance), data);
}

/** What is read has the names, shapes and bytes that the file has, each byte once. */
function readSafetensors(chance: Chance): Verdict {
  const bytes = damagedSafetensors(chance);
  let read: d.SafeTensors;
  try {
    read = d.decodeSafetensors(bytes);
  } catch (error) {
    return judge(error, "Not a valid safetensors file: ");
  }
  const { header, data } = parts(bytes);
  const names = Object.keys(header).filter((name) => name !== "__metadata__").sort();
  if (!equal(Object.keys(read.tensors).sort(), names)) return { wrong: `has ${names}` };
  let covered = 0;
  for (const name of names) {
    const entry = header[name] as { dtype: string; shape: number[]; data_offsets: [number, number] };
    const [from, to] = entry.data_offsets, array = read.tensors[name];
    covered += to - from;
    const same = !["F32", "I32", "U8", "BOOL"].includes(entry.dtype) ||
      equal(bytesOf(array), data.slice(from, to));
    if (!same || !equal(array.shape, entry.shape)) return { wrong: `${name} is not as the file has it` };
  }
  return covered === data.length ? "right" : { wrong: `${covered} bytes of ${data.length}` };
}

const IDX_SHAPE = [5, 4, 3];
const IDX = Uint8Array.from([0, 0, 8, 3, ...IDX_SHAPE.flatMap((n) => [0, 0, 0, n]), ...new Array(60).keys()]);
const gzip = async (bytes: Uint8Array) => {
  const packed = new Blob([bytes as BlobPart]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
};
const IDX_PACKED = [
  await gzip(IDX),
  Uint8Array.from([...await gzip(IDX.subarray(0, 20)), ...await gzip(IDX.subarray(20))]),
];

/** What is read is what the header says of the bytes; gzip has a checksum, so that its content is never another. */
async function readIdx(chance: Chance): Promise<Verdict> {
  const packed = chance.below(2) === 1;
  const inside = packed && chance.below(3) === 0; // damaged before it is packed
  let bytes = inside
    ? await gzip(mutateBytes(IDX, chance))
    : mutateBytes(packed ? chance.of(IDX_PACKED) : IDX, chance);
  let read: d.HostArray;
  try {
    read = await d.readIdx(bytes, "data/file", chance.below(2) ? 3 : undefined);
  } catch (error) {
    return judge(error, "data/file: ");
  }
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (isGzip) bytes = new Uint8Array(gunzipSync(bytes));
  const view = new DataView(bytes.buffer, bytes.byteOffset), axes = bytes[3];
  const shape = Array.from({ length: axes }, (_, i) => view.getUint32(4 + 4 * i));
  if (!equal(read.shape, shape)) return { wrong: `[${read.shape}] of [${shape}]` };
  if (!equal(bytesOf(read), bytes.slice(4 + 4 * axes))) return { wrong: "other bytes than the file has" };
  if (isGzip && !inside && !equal(bytesOf(read), IDX.slice(16))) {
    return { wrong: "other bytes than were packed" };
  }
  return "right";
}

/** Ends a fit before its first batch, when everything is loaded. */
class LoadOnly extends d.Callback {
  override order = 100;
  override beforeBatch(): void {
    throw new d.CancelFitException();
  }
}

const DIR = await Deno.makeTempDir({ prefix: "denoise-soak-" });
const CHECKPOINT = `${DIR}/checkpoint.safetensors`;

/** A learner whose callbacks have states of every kind. */
function makeLearner(cbs: d.Callback[]) {
  d.setSeed(3);
  const model = new d.Sequential(new d.Linear(2, 3), new d.BatchNorm1d(3), new d.Linear(3, 2));
  const items = new d.ArrayDataset(
    new d.HostArray(floats(16), [8, 2]),
    new d.HostArray(Int32Array.from({ length: 8 }, (_, i) => i % 2), [8]),
  );
  const metrics = new d.MetricsCB({ accuracy: new d.Accuracy() });
  metrics.log = () => {};
  const recorder = new d.RecorderCB({ loss: (learn) => learn.loss });
  const learn = new d.TrainLearner(model, d.DataLoaders.from(items, items, { batchSize: 2, seed: 5 }), {
    lossFunc: d.F.crossEntropy,
    optFunc: (params, lr) => new d.AdamW(params, { lr }),
    cbs: [
      new d.DeviceCB(),
      metrics,
      recorder,
      new d.BatchSchedCB((opt, totalSteps) => new d.OneCycleLR(opt, { maxLr: 0.01, totalSteps })),
      new d.AccumulateGradCB(3),
      new d.EMACB(0.9),
      ...cbs,
    ],
  });
  return { learn, metrics, recorder };
}

/** What a learner holds when a checkpoint is loaded; it is freed. */
async function resume(): Promise<unknown> {
  const checkpoint = new d.CheckpointCB({ path: CHECKPOINT, resume: true });
  const { learn, metrics, recorder } = makeLearner([checkpoint]);
  try {
    await learn.fit(3, { cbs: [new LoadOnly()] });
    const weights = await d.toTorch(learn.model.stateDict());
    const { tensors, ...optimizer } = learn.opt!.state();
    const [moments, random] = [await d.HostArray.fromAll(tensors), d.defaultGenerator.state];
    return { weights, optimizer, moments, random, rows: metrics.rows, losses: recorder.values };
  } finally {
    learn.dispose();
  }
}

let wholeCheckpoint: { bytes: Uint8Array; held: unknown } | undefined;

/** A checkpoint of a fit that was stopped in its first epoch, and what is loaded of it. */
async function makeCheckpoint() {
  const checkpoint = new d.CheckpointCB({ path: CHECKPOINT });
  class Stop extends d.Callback {
    override afterBatch(learn: d.Learner): void {
      if (learn.iter === 1) checkpoint.stop();
    }
  }
  const { learn } = makeLearner([checkpoint]);
  await learn.fit(3, { cbs: [new Stop()] });
  learn.dispose();
  return { bytes: await Deno.readFile(CHECKPOINT), held: await resume() };
}

/** A file with a checksum is as it was written or refused; the record of one without may be another that fits. */
async function readCheckpoint(chance: Chance): Promise<Verdict> {
  wholeCheckpoint ??= await makeCheckpoint();
  const { bytes, held } = wholeCheckpoint, checked = chance.below(5) < 3;
  let damaged: Uint8Array;
  if (checked) {
    damaged = mutateBytes(bytes, chance);
  } else {
    const { tensors, metadata } = d.decodeSafetensors(bytes);
    const record = mutateJson(JSON.parse(metadata["denoise.checkpoint"]), chance);
    const names = Object.keys(tensors), other = { ...tensors };
    if (chance.below(4) === 0) {
      const name = chance.of(names);
      if (chance.below(2)) delete other[name];
      else other[name] = tensors[chance.of(names)];
    }
    damaged = d.encodeSafetensors(other, { "denoise.checkpoint": record });
  }
  await Deno.writeFile(CHECKPOINT, damaged);
  try {
    const now = await resume();
    return !checked || equal(now, held) ? "right" : { wrong: "another state than was saved" };
  } catch (error) {
    return judge(error, CHECKPOINT);
  }
}

const CONFIGS = [...Object.values(PRESETS), ...Object.values(CLASSIFY_PRESETS)];
const ROWS: d.MetricsRow[] = [0, 1, 2].flatMap((epoch) => [
  { epoch, train: "train", loss: 0.5 / (1 + epoch), accuracy: 0.25 },
  { epoch, train: "eval", loss: epoch === 1 ? NaN : 0.125, accuracy: Infinity },
]);

/** Damaged text: its bytes, or one of its values. */
function damagedText(text: string, value: unknown, chance: Chance): string {
  if (chance.below(2)) return mutateJson(value, chance);
  return new TextDecoder().decode(mutateBytes(new TextEncoder().encode(text), chance));
}

/** What is read is what the JSON says. */
function readConfig(chance: Chance): Verdict {
  const path = "runs/some/config.json";
  if (chance.below(2)) {
    const config = chance.of(CONFIGS), text = damagedText(JSON.stringify(config, null, 2), config, chance);
    try {
      const read = parseConfig(text, path), before = { task: "train", mixedPrecision: false };
      return equal(read, { ...before, ...JSON.parse(text) }) ? "right" : { wrong: "another config" };
    } catch (error) {
      return judge(error, path);
    }
  }
  const lines = formatMetrics(ROWS).split("\n"), line = chance.below(ROWS.length);
  lines[line] = damagedText(lines[line], ROWS[line], chance);
  const text = lines.join("\n");
  try {
    const read = parseMetrics(text, path);
    const number = (name: string, x: unknown) => name !== "train" && typeof x === "string" ? Number(x) : x;
    const written = text.split("\n").slice(0, -1).map((row) => JSON.parse(row, number));
    return equal(read, written) ? "right" : { wrong: "other rows" };
  } catch (error) {
    return judge(error, path);
  }
}

/** Every kind, with how many files a whole soak reads. */
export const KINDS: Record<string, Kind> = {
  safetensors: { count: 20_000, read: readSafetensors },
  IDX: { count: 10_000, read: readIdx },
  checkpoints: { count: 5_000, read: readCheckpoint },
  "configs and metrics": { count: 5_000, read: readConfig },
};

/** What a soak of one kind came to. */
export interface Tally {
  right: number;
  refused: number;
  /** What is wrong, with the seed of the file. */
  wrong: string[];
  longestMs: number;
  /** How much more memory the process has at most, in MB. */
  growthMb: number;
}

/** Reads damaged files of one kind; the file of a number has that number and the seed for its own. */
export async function soak(kind: Kind, share: number, seed: number): Promise<Tally> {
  const tally: Tally = { right: 0, refused: 0, wrong: [], longestMs: 0, growthMb: 0 };
  const before = Deno.memoryUsage().rss;
  for (let i = 0; i < kind.count * share; i++) {
    const start = performance.now(), its = seed * 1_000_003 + i;
    const verdict = await kind.read(new Chance(its));
    if (typeof verdict === "string") tally[verdict]++;
    else tally.wrong.push(`seed ${its}: ${verdict.wrong}`);
    tally.longestMs = Math.max(tally.longestMs, performance.now() - start);
    if (i % 100 === 0) tally.growthMb = Math.max(tally.growthMb, (Deno.memoryUsage().rss - before) / 1e6);
  }
  return tally;
}

/** Removes what a soak wrote. */
export async function endSoak(): Promise<void> {
  await Deno.remove(DIR, { recursive: true });
}

if (import.meta.main) {
  const { parseArgs } = await import("node:util");
  const { values } = parseArgs({ options: { share: { type: "string" }, seed: { type: "string" } } });
  const share = Number(values.share ?? 1), seed = Number(values.seed ?? 1);
  await d.useDevice("wasm", { log: null });
  let wrong = 0;
  for (const [name, kind] of Object.entries(KINDS)) {
    const tally = await soak(kind, share, seed);
    const { right, refused, longestMs, growthMb } = tally;
    console.log(
      `${name}: ${right} read right, ${refused} refused, ${tally.wrong.length} wrong; the longest ` +
        `${longestMs.toFixed(0)} ms, ${growthMb.toFixed(0)} MB more memory`,
    );
    for (const line of tally.wrong.slice(0, 20)) console.log(`  ${line}`);
    wrong += tally.wrong.length;
  }
  await endSoak();
  Deno.exit(wrong ? 1 : 0);
}
