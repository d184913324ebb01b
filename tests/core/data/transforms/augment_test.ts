/** Random changes to images, by what they mean. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  ArrayDataset,
  type DataLoader,
  DataLoaders,
  Generator,
  HostArray,
  transforms,
} from "../../../../mod.ts";
import { wasmOnly } from "../../../support.ts";

/** n images of h×w whose pixels are all different. */
const images = (n: number, h: number, w: number) =>
  new HostArray(Float32Array.from({ length: n * h * w }, (_, i) => i + 1), [n, h, w, 1]);
const test = (name: string, fn: () => void | Promise<void>) => Deno.test({ name, ...wasmOnly, fn });

test("randomFlip mirrors about its share of the images, whole ones", () => {
  const x = images(400, 2, 3), y = transforms.randomFlip(0.3)(x, new Generator(1));
  let flipped = 0;
  for (let i = 0; i < 400; i++) {
    const [a, b] = [x, y].map((t) => Array.from(t.data.subarray(6 * i, 6 * i + 6)));
    const mirrored = [a[2], a[1], a[0], a[5], a[4], a[3]];
    if (b.join() === mirrored.join()) flipped++;
    else assertEquals(b, a);
  }
  assert(flipped > 80 && flipped < 160, `${flipped} of 400`);
  assertEquals(transforms.flipHorizontal(transforms.flipHorizontal(x)).data, x.data);
  assertThrows(() => transforms.randomFlip(2), RangeError, "not 2");
});

test("randomCrop moves each image, zeros come in, every shift happens", () => {
  const x = images(300, 4, 5), y = transforms.randomCrop(1)(x, new Generator(2));
  const seen = new Set<string>();
  for (let i = 0; i < 300; i++) {
    const at = (t: HostArray, r: number, c: number) =>
      r < 0 || r > 3 || c < 0 || c > 4 ? 0 : t.data[i * 20 + r * 5 + c];
    const shift = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => [dy, dx])).find(([dy, dx]) =>
      [0, 1, 2, 3].every((r) => [0, 1, 2, 3, 4].every((c) => at(y, r, c) === at(x, r + dy, c + dx)))
    );
    assert(shift !== undefined, `image ${i} is no shift`);
    seen.add(shift!.join());
  }
  assertEquals(seen.size, 9);
  assertEquals(transforms.randomCrop(0)(x, new Generator(2)).data, x.data);
});

test("randErase fills at most maxNum patches with numbers of the batch's range", () => {
  const x = images(200, 10, 10), y = transforms.randErase({ pct: 0.2, maxNum: 3 })(x, new Generator(3));
  const changed = Array.from({ length: 200 }, (_, i) => {
    let count = 0;
    for (let k = 100 * i; k < 100 * i + 100; k++) if (x.data[k] !== y.data[k]) count++;
    return count;
  });
  assert(
    Math.max(...changed) <= 12 && changed.some((c) => c > 8) && changed.some((c) => c === 0),
    `${changed}`,
  );
  assert(y.data.every((v) => v >= 1 && v <= 20000));
  assertThrows(() => transforms.randErase({ pct: 1.5 }), RangeError, "not 1.5");
});

test("randCopy puts patches of the same image elsewhere", () => {
  const x = images(50, 10, 10), y = transforms.randCopy({ pct: 0.3, maxNum: 2 })(x, new Generator(4));
  let changed = 0;
  y.data.forEach((v, i) => {
    if (v === x.data[i]) return;
    changed++;
    assertEquals(Math.floor((v - 1) / 100), Math.floor(i / 100));
  });
  assert(changed > 200, `${changed}`);
});

test("a loader augments training alone, anew each pass, and a pass skipped into draws the same", async () => {
  const set = new ArrayDataset(images(12, 4, 4), new HostArray(new Int32Array(12), [12]));
  const augment: transforms.Augment = transforms.augmentAll(
    transforms.randomCrop(1),
    transforms.randomFlip(),
  );
  const make = () => DataLoaders.from(set, set, { batchSize: 4, shuffle: false, augment });
  const pass = async (dl: DataLoader, skip = 0) => {
    const out: string[] = [];
    for await (const [x] of dl.batches(skip)) out.push(Array.from(x.data).join());
    return out;
  };
  const { train, valid } = make();
  const [first, second] = [await pass(train), await pass(train)];
  assert(first.every((x, i) => x !== second[i]));
  assertEquals(await pass(make().train, 2), first.slice(2));
  assertEquals((await pass(valid)).join(), Array.from(set.arrays[0].data).join());
});
