/** Files of images, loaders, transforms. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  compose,
  DataLoader,
  DataLoaders,
  type Dataset,
  embeddedFashionMnist,
  fashionMnist,
  HostArray,
  normalize,
  padZeros,
  readIdx,
  resizeBilinear,
  take,
  toFloat,
} from "../../mod.ts";
import torch from "../golden/torch.json" with { type: "json" };
import { assertClose } from "../support.ts";

function idx(shape: number[], data: number[], magic = [0, 0, 8, shape.length]): Uint8Array {
  const head = new Uint8Array(4 + 4 * shape.length);
  head.set(magic);
  shape.forEach((n, i) => new DataView(head.buffer).setUint32(4 + 4 * i, n));
  return new Uint8Array([...head, ...data]);
}

async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

Deno.test("IDX: plain and gzipped", async () => {
  const bytes = idx([2, 2, 3], range(12));
  for (const file of [bytes, await gzip(bytes)]) {
    const { data, shape } = await readIdx(file, "x", 3);
    assertEquals([shape, [...data]], [[2, 2, 3], range(12)]);
  }
});

Deno.test("IDX: every damage is named", async () => {
  const good = idx([2, 3], range(6));
  const zipped = await gzip(idx([100, 10], range(1000).map((i) => i % 251)));
  for (
    const [bytes, message] of [
      [idx([2, 3], range(6), [1, 0, 8, 2]), "magic number 0x01000802"],
      [idx([2, 3], range(6), [0, 0, 13, 2]), "element type 0xd is not 0x08"],
      [good.slice(0, -1), "truncated: the shape [2,3] needs 18 bytes, there are 17"],
      [new Uint8Array([...good, 0]), "too long"],
      [good.slice(0, 9), "truncated in its header"],
      [new Uint8Array(2), "2 bytes are too few"],
      [zipped.slice(0, zipped.length / 2), "gzip data is damaged or truncated"],
    ] as const
  ) {
    await assertRejects(() => readIdx(bytes, "some file"), Error, message);
  }
  await assertRejects(() => readIdx(good, "labels", 1), Error, "labels: it has 2 axes, expected 1");
});

Deno.test("the embedded subset: 500 and 100 of each class, under 4 MB", async () => {
  const { train, test } = await embeddedFashionMnist();
  assertEquals([train.images.shape, test.images.shape], [[5000, 28, 28, 1], [1000, 28, 28, 1]]);
  for (const [{ labels }, per] of [[train, 500], [test, 100]] as const) {
    for (const c of range(10)) assertEquals(labels.data.filter((l) => l === c).length, per);
  }
  const mean = (train.images.data as Uint8Array).reduce((s, v) => s + v, 0) / train.images.data.length / 255;
  assert(Math.abs(mean - 0.286) < 0.01, `mean ${mean}`);
  const { size } = await Deno.stat(new URL("../../core/data/fashion_mnist_subset.gen.ts", import.meta.url));
  assert(size < 4e6, `${size} bytes`);
});

Deno.test("a directory without the files is an error; one with them is read; a damaged one is named", async () => {
  const dir = await Deno.makeTempDir();
  await assertRejects(
    () => fashionMnist({ dir }),
    Error,
    `--data ${dir} does not hold all of train-images-idx3-ubyte.gz`,
  );
  const images = idx([3, 28, 28], range(3 * 784).map((i) => i % 256)), labels = idx([3], [1, 2, 3]);
  for (const half of ["train", "t10k"]) {
    await Deno.writeFile(`${dir}/${half}-images-idx3-ubyte.gz`, await gzip(images));
    await Deno.writeFile(`${dir}/${half}-labels-idx1-ubyte`, labels);
  }
  const lines: string[] = [];
  const { train, source } = await fashionMnist({ dir, log: (line) => lines.push(line) });
  assertEquals([train.images.shape, source, lines], [[3, 28, 28, 1], dir, [
    `Data: Fashion-MNIST from ${dir}`,
  ]]);
  await Deno.writeFile(`${dir}/t10k-labels-idx1-ubyte`, idx([2], [1, 2]));
  await assertRejects(() => fashionMnist({ dir }), Error, "3 images but 2 labels");
  await Deno.remove(dir, { recursive: true });
});

const dataset = (n: number): Dataset => ({
  images: new HostArray(Uint8Array.from(range(n * 2)), [n, 1, 2, 1]),
  labels: new HostArray(Uint8Array.from(range(n)), [n]),
});
async function labels(loader: DataLoader, skip = 0): Promise<number[][]> {
  const out: number[][] = [];
  for await (const [, y] of loader.batches(skip)) out.push([...y.data]);
  return out;
}

Deno.test("a loader gives every item once, the last batch smaller or dropped, in a seeded order", async () => {
  const plain = new DataLoader(dataset(7), { batchSize: 3 });
  assertEquals([plain.length, await labels(plain)], [3, [[0, 1, 2], [3, 4, 5], [6]]]);
  const dropping = new DataLoader(dataset(7), { batchSize: 3, dropLast: true });
  assertEquals([dropping.length, await labels(dropping)], [2, [[0, 1, 2], [3, 4, 5]]]);
  const make = (seed: number) => new DataLoader(dataset(50), { batchSize: 8, shuffle: true, seed });
  const a = make(1), first = await labels(a), second = await labels(a);
  assertEquals(first.flat().toSorted((x, y) => x - y), range(50));
  assert(first.join() !== second.join(), "each pass must have an order of its own");
  assertEquals(await labels(make(1)), first);
  assert((await labels(make(2))).join() !== first.join());
});

Deno.test("a pass can begin in its middle; images and labels stay together whatever is fetched ahead", async () => {
  for (const prefetch of [0, 1, 5]) {
    const make = () => new DataLoader(dataset(20), { batchSize: 3, shuffle: true, prefetch });
    const whole = await labels(make());
    assertEquals(await labels(make(), 2), whole.slice(2));
    for await (const [x, y] of make()) {
      assertEquals([...x.data], [...y.data].flatMap((i) => [2 * i, 2 * i + 1]));
    }
  }
});

Deno.test("loaders: training shuffled, evaluation in order; take limits", async () => {
  const dls = DataLoaders.from(dataset(20), take(dataset(9), 4), { batchSize: 10, dropLast: true });
  assertEquals(await labels(dls.valid), [[0, 1, 2, 3]]);
  assert((await labels(dls.train)).flat().join() !== range(20).join());
  assertThrows(() => new DataLoader(dataset(3), { batchSize: 0 }), RangeError, "not 0");
  assertThrows(() => new DataLoader(take(dataset(3), 0), { batchSize: 1 }), RangeError, "empty");
});

Deno.test("bilinear resizing 28 to 32: PyTorch's numbers", async () => {
  const image = Float32Array.from(range(784), (i) => i % 37);
  const out = resizeBilinear(32)(new HostArray(image, [1, 28, 28, 1]));
  assertEquals(out.shape, [1, 32, 32, 1]);
  await assertClose(out.data, torch.resize32, 1e-6);
});

Deno.test("padding, scaling, normalising", () => {
  const x = new HostArray(Uint8Array.of(0, 51, 102, 255), [1, 2, 2, 1]);
  const rounded = (a: HostArray) => Array.from(a.data, (v) => Math.round(v * 1e6) / 1e6);
  assertEquals(rounded(toFloat()(x)), [0, 0.2, 0.4, 1]);
  assertEquals(rounded(toFloat(-0.5, 0.5)(x)), [-0.5, -0.3, -0.1, 0.5]);
  assertEquals(rounded(compose(toFloat(), normalize(0.4, 0.2))(x)), [-2, -1, 0, 3]);
  const padded = padZeros(1)(toFloat()(x));
  assertEquals(padded.shape, [1, 4, 4, 1]);
  assertEquals(rounded(padded), [0, 0, 0, 0, 0, 0, 0.2, 0, 0, 0.4, 1, 0, 0, 0, 0, 0]);
  assertThrows(
    () => new HostArray(new Float32Array(3), [2, 2]),
    Error,
    "3 numbers do not fill the shape [2,2] of 4",
  );
});
