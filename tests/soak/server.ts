/**
 * A server that draws on request while fits run in its process, for as long as asked: every picture and every fit is
 * compared with what comes of it alone, and memory and threads are printed. `deno run -A tests/soak/server.ts MINUTES`
 */
import {
  Adam,
  ArrayDataset,
  DataLoaders,
  DDPMCB,
  DeviceCB,
  Generator,
  HostArray,
  linearSchedule,
  setSeed,
  tf,
  TrainLearner,
  UNet,
  useDevice,
} from "../../mod.ts";
import { drawOnRequest } from "../../examples/server.ts";
import { TINY } from "../tiny.ts";

const SIZE = 8, SEEDS = 12, CLIENTS = 4;
/** Of this many requests, one is hung up on. */
const HANG_UP_EVERY = 10;
const schedule = linearSchedule({ nSteps: 10 });
const MB = 2 ** 20;

/** What a soak came to. */
export interface Report {
  /** Pictures compared, and those that were others than when drawn alone. */
  pictures: number;
  wrongPictures: number;
  /** Requests that their client gave up. */
  hungUp: number;
  /** Fits compared, and those that came to other numbers than alone. */
  fits: number;
  wrongFits: number;
  /** What the process held at moments between two fits. */
  levels: Level[];
}

/** What a process holds. */
export interface Level {
  seconds: number;
  tensors: number;
  /** Of tensors. */
  bytes: number;
  rssMb: number;
  heapMb: number;
  threads: number;
  pictures: number;
  fits: number;
}

/** Threads of this process; 0 where the system does not tell. */
async function countThreads(): Promise<number> {
  const status = await Deno.readTextFile("/proc/self/status").catch(() => "");
  return Number(/^Threads:\s*(\d+)/m.exec(status)?.[1] ?? 0);
}

/** A fit from the same weights and seed each time, and all the weights that it comes to. */
async function fitOnce(epochs: number): Promise<string> {
  setSeed(3);
  const images = new HostArray(new Generator(1).normalArray(16 * SIZE * SIZE), [16, SIZE, SIZE, 1]);
  const data = new ArrayDataset(images), model = new UNet(TINY);
  const learn = new TrainLearner(model, DataLoaders.from(data, data, { batchSize: 4 }), {
    lr: 1e-3,
    optFunc: (params, lr) => new Adam(params, { lr }),
    cbs: [new DeviceCB(), new DDPMCB({ schedule })],
  });
  await learn.fit(epochs);
  const weights = await Promise.all(model.parameters().map((p) => p.data()));
  learn.dispose();
  model.dispose();
  return weights.map((w) => w.join()).join();
}

/**
 * Serves pictures and fits until it is to end.
 * @param enough whether it is to end; asked after each fit
 * @param epochs of a fit
 * @param onLevel called after each fit
 */
export async function serveBesideFits(
  enough: (report: Report) => boolean,
  epochs: number,
  onLevel: (level: Level) => void = () => {},
): Promise<Report> {
  setSeed(1);
  const model = new UNet(TINY), handle = drawOnRequest({ model, schedule, size: SIZE });
  const path = (i: number) => `/?seed=${i % SEEDS}&n=${1 + i % 2}`;
  const expected: string[] = [];
  const bytesOf = async (response: Response) => (await response.bytes()).join();
  for (let i = 0; i < SEEDS; i++) {
    expected.push(await bytesOf(await handle(new Request(`http://localhost${path(i)}`))));
  }
  const numbers = await fitOnce(epochs);
  const report: Report = { pictures: 0, wrongPictures: 0, hungUp: 0, fits: 0, wrongFits: 0, levels: [] };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handle);
  const begun = performance.now();
  let requests = 0, over = false;
  const client = async () => {
    while (!over) {
      const i = requests++, hangsUp = i % HANG_UP_EVERY === HANG_UP_EVERY - 1;
      const controller = new AbortController();
      const timer = hangsUp ? setTimeout(() => controller.abort(), 5 * (i % 7)) : undefined;
      try {
        const response = await fetch(`http://127.0.0.1:${server.addr.port}${path(i)}`, controller);
        if (await bytesOf(response) !== expected[i % SEEDS]) report.wrongPictures++;
        report.pictures++;
      } catch (error) {
        if (!controller.signal.aborted) throw error;
        report.hungUp++;
      } finally {
        clearTimeout(timer);
      }
    }
  };
  const clients = Array.from({ length: CLIENTS }, client);
  const fits = async () => {
    do {
      if (await fitOnce(epochs) !== numbers) report.wrongFits++;
      report.fits++;
      const { numTensors, numBytes } = tf.memory(), { rss, heapUsed } = Deno.memoryUsage();
      const level = {
        seconds: Math.round((performance.now() - begun) / 1000),
        tensors: numTensors,
        bytes: numBytes,
        rssMb: Math.round(rss / MB),
        heapMb: Math.round(heapUsed / MB),
        threads: await countThreads(),
        pictures: report.pictures,
        fits: report.fits,
      };
      report.levels.push(level);
      onLevel(level);
    } while (!enough(report));
  };
  await fits().finally(() => over = true);
  await Promise.all(clients);
  await server.shutdown();
  model.dispose();
  return report;
}

if (import.meta.main) {
  const minutes = Number(Deno.args[0] ?? 10), end = performance.now() + minutes * 60_000;
  await useDevice();
  let shown = -Infinity;
  console.log("s\tpictures\tfits\ttensors\ttensor bytes\theap MB\trss MB\tthreads");
  const report = await serveBesideFits(() => performance.now() >= end, 3, (level) => {
    if (level.seconds - shown < 30) return;
    shown = level.seconds;
    const { seconds, pictures, fits, tensors, bytes, heapMb, rssMb, threads } = level;
    console.log([seconds, pictures, fits, tensors, bytes, heapMb, rssMb, threads].join("\t"));
  });
  const { levels: _, ...counts } = report;
  console.log(JSON.stringify(counts));
  if (report.wrongPictures || report.wrongFits) Deno.exit(1);
}
