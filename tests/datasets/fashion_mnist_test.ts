/** Fashion-MNIST: the embedded subset, directories of files. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { embeddedFashionMnist, fashionMnist } from "../../mod.ts";
import { gzip, idx, range } from "./files.ts";

Deno.test("the embedded subset: 500 and 100 of each class, under 4 MB", async () => {
  const { train, test } = await embeddedFashionMnist();
  assertEquals([train, test].map(({ arrays: [images] }) => images.shape), [[5000, 28, 28, 1], [
    1000,
    28,
    28,
    1,
  ]]);
  for (const [{ arrays: [, labels] }, per] of [[train, 500], [test, 100]] as const) {
    for (const c of range(10)) assertEquals(labels.data.filter((l) => l === c).length, per);
  }
  const pixels = train.arrays[0].data as Uint8Array;
  const mean = pixels.reduce((s, v) => s + v, 0) / pixels.length / 255;
  assert(Math.abs(mean - 0.286) < 0.01, `mean ${mean}`);
  const { size } = await Deno.stat(new URL("../../datasets/fashion_mnist_subset.gen.ts", import.meta.url));
  assert(size < 4e6, `${size} bytes`);
});

Deno.test("a directory without the files is an error; one with them is read; a damaged one is named", async () => {
  const dir = await Deno.makeTempDir();
  await assertRejects(
    () => fashionMnist({ dir }),
    Error,
    `${dir} does not hold all of train-images-idx3-ubyte.gz`,
  );
  const images = idx([3, 28, 28], range(3 * 784).map((i) => i % 256)), labels = idx([3], [1, 2, 3]);
  for (const half of ["train", "t10k"]) {
    await Deno.writeFile(`${dir}/${half}-images-idx3-ubyte.gz`, await gzip(images));
    await Deno.writeFile(`${dir}/${half}-labels-idx1-ubyte`, labels);
  }
  const lines: string[] = [];
  const { train, source } = await fashionMnist({ dir, log: (line) => lines.push(line) });
  assertEquals([train.arrays[0].shape, source, lines], [[3, 28, 28, 1], dir, [
    `Data: Fashion-MNIST from ${dir}`,
  ]]);
  await Deno.writeFile(`${dir}/t10k-labels-idx1-ubyte`, idx([2], [1, 2]));
  await assertRejects(() => fashionMnist({ dir }), Error, "3 images but 2 labels");
  await Deno.writeFile(`${dir}/t10k-labels-idx1-ubyte`, idx([3], [1, 10, 2]));
  const name = `${dir}: t10k-labels-idx1-ubyte`;
  await assertRejects(() => fashionMnist({ dir }), Error, `${name}: label 1 is 10, not one of 0 to 9`);
  await Deno.writeFile(`${dir}/t10k-images-idx3-ubyte.gz`, await gzip(idx([3, 2, 28], range(168))));
  await assertRejects(
    () => fashionMnist({ dir }),
    Error,
    `${dir}: t10k-images-idx3-ubyte: images of [2,28], not [28,28]`,
  );
  await Deno.writeFile(`${dir}/t10k-images-idx3-ubyte.gz`, (await gzip(images)).slice(0, -1));
  await assertRejects(
    () => fashionMnist({ dir }),
    Error,
    `${dir}: t10k-images-idx3-ubyte: the gzip data is damaged`,
  );
  await Deno.remove(dir, { recursive: true });
});

Deno.test("the cache is read before anything else is tried; a damaged file in it is named; options may be undefined", async () => {
  const cache = await Deno.makeTempDir(), left = { dir: undefined, download: false, log: () => {} };
  const images = idx([2, 28, 28], range(2 * 784).map((i) => i % 256)), labels = idx([2], [0, 9]);
  for (const half of ["train", "t10k"]) {
    await Deno.writeFile(`${cache}/${half}-images-idx3-ubyte`, images);
    await Deno.writeFile(`${cache}/${half}-labels-idx1-ubyte`, labels);
  }
  const { train, test, source } = await fashionMnist({ ...left, cache });
  assertEquals([source, train.length, test.length], [cache, 2, 2]);
  await Deno.writeFile(`${cache}/train-images-idx3-ubyte`, images.slice(0, -1));
  const message =
    `${cache}: train-images-idx3-ubyte: truncated: the shape [2,28,28] needs 1584 bytes, there are 1583`;
  await assertRejects(() => fashionMnist({ ...left, cache }), Error, message);
  await Deno.remove(cache, { recursive: true });
});
