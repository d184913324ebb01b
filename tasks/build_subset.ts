/** Makes the embedded subset of Fashion-MNIST from the full data: `deno task build:subset`. */
import { fileURLToPath } from "node:url";
import { writeFile } from "../core/mod.ts";
import { Generator, type HostArray } from "../mod.ts";
import { command as makeCommand, main, parse, path, UserError } from "./cli.ts";
import { loadData } from "./data.ts";
import { requireReadable } from "./paths.ts";

const OUT = new URL("../datasets/fashion_mnist_subset.gen.ts", import.meta.url);

/** The first `per` items of each class in a seeded order, then shuffled. */
function stratify(labels: HostArray, per: number, generator: Generator): Int32Array {
  const seen = new Map<number, number>();
  const chosen = generator.permutation(labels.data.length).filter((i) => {
    const count = seen.get(labels.data[i]) ?? 0;
    seen.set(labels.data[i], count + 1);
    return count < per;
  });
  return Int32Array.from(chosen);
}

async function idx(rows: Uint8Array[], shape: number[]): Promise<string> {
  const head = new Uint8Array(4 + 4 * shape.length);
  head.set([0, 0, 8, shape.length]);
  shape.forEach((n, i) => new DataView(head.buffer).setUint32(4 + 4 * i, n));
  const stream = new Blob([head, ...rows] as BlobPart[]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
}

const command = makeCommand("build:subset", "Makes the embedded subset of Fashion-MNIST from the full data")
  .option("--data <dir>", "directory of the four IDX files (default: where they are found)", path);

/** Images of the full data. */
const TRAIN_IMAGES = 60_000;

/** `deno task build:subset`. */
export async function buildSubset(args: string[]): Promise<void> {
  const { data } = parse<{ data?: string }>(command, args, ["data"]);
  if (data !== undefined) await requireReadable("--data", data);
  const { train, test, source } = await loadData(data);
  if (train.length !== TRAIN_IMAGES) {
    throw new UserError(
      `${source} has ${train.length} images to train on, not ${TRAIN_IMAGES}: name the full data by --data`,
    );
  }
  const generator = new Generator(2026);
  const files: Record<string, string> = {};
  for (const [name, { arrays }, per] of [["train", train, 500], ["test", test, 100]] as const) {
    const [images, labels] = arrays;
    const chosen = [...stratify(labels, per, generator)];
    const pixels = images.data as Uint8Array;
    files[`${name}Images`] = await idx(
      chosen.map((i) => pixels.subarray(i * 784, (i + 1) * 784)),
      [chosen.length, 28, 28],
    );
    files[`${name}Labels`] = await idx(
      chosen.map((i) => (labels.data as Uint8Array).subarray(i, i + 1)),
      [chosen.length],
    );
  }
  const entries = Object.entries(files).map(([k, v]) => `  ${k}: "${v}",\n`).join("");
  await writeFile(
    fileURLToPath(OUT),
    `// Built by \`deno task build:subset\`. Do not edit.
// deno-fmt-ignore-file
/** A stratified subset of Fashion-MNIST (MIT licence, Zalando SE) as gzipped IDX files, base64. */
export const SUBSET = {
${entries}};
`,
  );
  console.log(`${fileURLToPath(OUT)}: ${(await Deno.stat(OUT)).size} bytes`);
}

if (import.meta.main) await main(buildSubset);
