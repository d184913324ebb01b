/** Loaders: orders, what is made ahead, streams. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ArrayDataset,
  type Batch,
  DataLoader,
  type DataLoaderOptions,
  DataLoaders,
  type Dataset,
  DeviceCB,
  HostArray,
  type Json,
  Linear,
  type Loader,
  loaderOf,
  take,
  TrainLearner,
} from "../../../mod.ts";
import "../../support.ts";

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** n items: a pair of pixels that tells its number, and the number. */
const dataset = (n: number): Dataset =>
  new ArrayDataset(
    new HostArray(Uint8Array.from(range(n * 2)), [n, 1, 2, 1]),
    new HostArray(Uint8Array.from(range(n)), [n]),
  );

/** The numbers of the items of each batch. */
async function labels(loader: Loader, skip?: number): Promise<number[][]> {
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
  assertThrows(() => new DataLoader(dataset(3), { batchSize: 1, prefetch: -1 }), RangeError, "not -1");
});

Deno.test("a loader goes on from its state; one of other batches or items refuses it", async () => {
  const make = (n = 20, batchSize = 3, shuffle = true, dropLast = false) =>
    new DataLoader(dataset(n), { batchSize, shuffle, dropLast, seed: 5 });
  const a = make(), b = make();
  await labels(a);
  const state = JSON.parse(JSON.stringify(a.state()));
  b.loadState(state);
  assertEquals(await labels(b), await labels(a));
  b.loadState({ seed: 5, counter: 10 }); // as checkpoints of before have it
  for (
    const [other, message] of [
      [make(21), "of size 20, this loader is of 21"],
      [make(20, 4), "of batchSize 3, this loader is of 4"],
      [make(20, 3, false), "of shuffle true, this loader is of false"],
      [make(20, 3, true, true), "of dropLast false, this loader is of true"],
    ] as const
  ) {
    assertThrows(() => other.loadState(state), Error, message);
  }
});

Deno.test("options given as undefined are left out", async () => {
  const left: DataLoaderOptions = {
    batchSize: 4,
    shuffle: undefined,
    seed: undefined,
    dropLast: undefined,
    prefetch: undefined,
    transform: undefined,
    augment: undefined,
    collate: undefined,
  };
  assertEquals(
    await labels(new DataLoader(dataset(9), left)),
    await labels(new DataLoader(dataset(9), { batchSize: 4 })),
  );
  const [a, b] = [left, { batchSize: 4 }].map((options) => DataLoaders.from(dataset(9), dataset(9), options));
  assertEquals(await labels(a.train), await labels(b.train));
});

Deno.test("arrays by name are a dataset of them in that order", async () => {
  const y = new HostArray(Int32Array.of(7, 8), [2]), x = new HostArray(Float32Array.of(1, 2), [2, 1]);
  const [batch] = await Array.fromAsync(new DataLoader({ x, y, w: x }, { batchSize: 2 }));
  assertEquals(batch, [x, y, x]);
});

Deno.test("collate makes the batch of all its arrays, with random numbers fixed by pass and batch", async () => {
  const collate = ([x, y]: HostArray[], generator: { uniformArray(n: number): Float32Array }) =>
    Promise.resolve([[x, y], generator.uniformArray(1)[0]]);
  const make = () => new DataLoader(dataset(6), { batchSize: 2, collate });
  const first = await Array.fromAsync(make());
  assertEquals(first.map(([[, y]]) => [...y.data]), [[0, 1], [2, 3], [4, 5]]);
  assertEquals(new Set(first.map(([, draw]) => draw)).size, 3);
  assertEquals(await Array.fromAsync(make().batches(1)), first.slice(1));
});

Deno.test("a dataset of any kind: computed, any number of arrays, from a promise", async () => {
  const asked: number[][] = [];
  const squares: Dataset = {
    length: 5,
    async items(indices) {
      asked.push([...indices]);
      await new Promise((resolve) => setTimeout(resolve, 1));
      const x = Float32Array.from(indices), shape = [indices.length];
      return [x, x.map((v) => v * v), x.map((v) => v ** 3)].map((data) => new HostArray(data, shape));
    },
  };
  const batches = await Array.fromAsync(new DataLoader(squares, { batchSize: 3 }));
  assertEquals(batches.map((arrays) => arrays.map((a: HostArray) => [...a.data])), [
    [[0, 1, 2], [0, 1, 4], [0, 1, 8]],
    [[3, 4], [9, 16], [27, 64]],
  ]);
  assertEquals(asked, [[0, 1, 2], [3, 4]]);
});

Deno.test("a dataset that gives other than was asked for, and a stream that cannot begin anew are refused", async () => {
  const cases: [shapes: number[][], message: string][] = [
    [[[2, 3], [1]], "the dataset gives [2,3], [1] for 2 items"],
    [[[]], "gives [] for 2 items"],
    [[], "gives no array for 2 items"],
  ];
  for (const [shapes, message] of cases) {
    const items = () =>
      shapes.map((shape) => new HostArray(new Uint8Array(shape.reduce((a, b) => a * b, 1)), shape));
    await assertRejects(() => labels(new DataLoader({ length: 4, items }, { batchSize: 2 })), Error, message);
  }
  const underWay = (function* (): Generator<Batch> {})();
  assertThrows(() => loaderOf(underWay as never), TypeError, "loaderOf takes a function that begins a pass");
});

Deno.test("an error in a batch made ahead comes out in its turn, and the loader can be used again", async () => {
  let broken = true;
  const transform = (x: HostArray) => {
    if (broken && x.data.includes(9)) throw new Error("bad image");
    return x;
  };
  const unreadable: Dataset = { length: 8, items: () => Promise.reject(new Error("bad file")) };
  const wait = () => new Promise((resolve) => setTimeout(resolve, 5));
  for (const prefetch of [0, 1, 5]) {
    const loader = new DataLoader(dataset(8), { batchSize: 2, prefetch, transform });
    const seen: Batch[] = [];
    broken = true;
    await assertRejects(
      async () => {
        for await (const batch of loader) {
          seen.push(batch);
          await wait();
        }
      },
      Error,
      "bad image",
    );
    assertEquals(seen.length, 2);
    for await (const _ of loader) break; // what was made ahead is dropped, its errors too
    await wait();
    broken = false;
    assertEquals((await labels(loader)).flat(), range(8));
    await assertRejects(
      () => labels(new DataLoader(unreadable, { batchSize: 2, prefetch })),
      Error,
      "bad file",
    );
  }
});

Deno.test("loaderOf: a stream of unknown length trains, anew each epoch; a pass can begin in its middle", async () => {
  let passes = 0;
  async function* stream(): AsyncGenerator<Batch> {
    passes++;
    for (let i = 0; i < 5; i++) {
      await Promise.resolve();
      const x = new HostArray(Float32Array.of(i, i + 1), [2, 1]);
      yield [x, x];
    }
  }
  const loader = loaderOf(stream);
  assertEquals([loader.length, loader.size, loaderOf(stream, { length: 5, size: 10 }).length], [
    undefined,
    undefined,
    5,
  ]);
  assertEquals(await labels(loader, 3), [[3, 4], [4, 5]]);
  passes = 0;
  const learn = new TrainLearner(new Linear(1, 1), new DataLoaders(loader, loader), {
    lr: 0.01,
    cbs: [new DeviceCB()],
  });
  await learn.fit(3);
  assertEquals([passes, learn.iter, learn.opt!.state().step], [6, 5, 15]);
  const list = [[new HostArray(Float32Array.of(1), [1]), new HostArray(Float32Array.of(2), [1])]];
  assertEquals(await labels(loaderOf(() => list)), [[2]]);
});

Deno.test("a random dataset draws from the generator of the batch in training, and nothing where it is evaluated", async () => {
  const drawn: Dataset = {
    length: 6,
    random: true,
    items(indices, generator) {
      const x = generator?.randintArray(indices.length, 0, 1e6) ?? new Int32Array(indices.length);
      return [new HostArray(x, [indices.length]), new HostArray(x, [indices.length])];
    },
  };
  const options = { batchSize: 2, seed: 4, shuffle: false };
  const passes = async (set: Dataset) => {
    const { train } = DataLoaders.from(set, set, options);
    return [await labels(train), await labels(train)];
  };
  const [first, second] = await passes(drawn);
  assertEquals(new Set([first, second].flat(2)).size, 12);
  assertEquals(await passes(take(drawn, 6)), [first, second]);
  const { train, valid } = DataLoaders.from(drawn, take(drawn, 4), options);
  assertEquals(await labels(train, 1), first.slice(1));
  assertEquals(await labels(valid), [[0, 0], [0, 0]]);
});

Deno.test("a pass begins at a whole number of batches, of a stream too", async () => {
  const list = [[new HostArray(Uint8Array.of(1), [1]), new HostArray(Uint8Array.of(2), [1])]];
  for (const loader of [new DataLoader(dataset(4), { batchSize: 2 }), loaderOf(() => list)]) {
    for (const skip of [-1, 0.5, NaN]) {
      await assertRejects(() => labels(loader, skip), RangeError, `from 0 on, not ${skip}`);
    }
  }
  assertEquals(await labels(new DataLoader(dataset(4), { batchSize: 2 }), 5), []);
  await assertRejects(() => labels(loaderOf(() => list), 2), Error, "the stream ends after 1 batches");
});

Deno.test("a state of no loader is refused by what it lacks", () => {
  const loader = new DataLoader(dataset(4), { batchSize: 2 });
  for (const state of [null, {}, 3, { seed: 1, counter: -1 }, { seed: "1", counter: 0 }]) {
    assertThrows(() => loader.loadState(state as Json), Error, "DataLoader's state");
  }
  assertEquals(loader.state(), new DataLoader(dataset(4), { batchSize: 2 }).state());
});
