/** The rest of the program has its turns beside a fit. */
import { assert, assertEquals } from "@std/assert";
import {
  ArrayDataset,
  Callback,
  CancelFitException,
  DataLoaders,
  DeviceCB,
  HostArray,
  Linear,
  linearSchedule,
  Module,
  type Tensor,
  tf,
  TrainLearner,
} from "../../mod.ts";
import { drawOnRequest } from "../../examples/server.ts";
import { wasmOnly } from "../support.ts";

const BATCH_MS = 500, STEP_MS = 100, STEPS = 10;

/** Holds the thread, as a network does. */
function hold(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

class SlowModel extends Module<[Tensor, number], Tensor> {
  override forward(x: Tensor): Tensor {
    hold(STEP_MS);
    return tf.mul(x, 0.5);
  }
}

/** Asks each path in turn, on a connection of its own, and gives the status and the batches that it took. */
const CLIENT = `
onmessage = async ({ data: { url, paths, batches } }) => {
  const answers = [];
  for (const path of paths) {
    const begun = Atomics.load(batches, 0);
    const response = await fetch(url + path, { headers: { connection: "close" } });
    await response.bytes();
    answers.push([response.status, Atomics.load(batches, 0) - begun]);
  }
  postMessage(answers);
};`;

/** What a client in a thread of its own is answered while a fit runs. */
async function askBesideFit(paths: string[]): Promise<[status: number, batches: number][]> {
  const handle = drawOnRequest({
    model: new SlowModel(),
    schedule: linearSchedule({ nSteps: STEPS }),
    size: 4,
  });
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handle);
  const source = URL.createObjectURL(new Blob([CLIENT], { type: "text/javascript" }));
  const client = new Worker(source, { type: "module" });
  const batches = new Int32Array(new SharedArrayBuffer(4));
  const answers = Promise.withResolvers<[number, number][]>();
  let over = false;
  client.onmessage = ({ data }) => {
    over = true;
    answers.resolve(data);
  };
  class SlowBatches extends Callback {
    override beforeBatch(): void {
      hold(BATCH_MS);
    }
    override afterBatch(): void {
      if (Atomics.add(batches, 0, 1) === 0) client.postMessage({ url, paths, batches });
      if (over) throw new CancelFitException();
    }
  }
  const url = `http://127.0.0.1:${server.addr.port}`;
  const x = new HostArray(new Float32Array(200), [200, 1]), data = new ArrayDataset(x, x);
  const learn = new TrainLearner(new Linear(1, 1), DataLoaders.from(data, data, { batchSize: 1 }), {
    cbs: [new DeviceCB(), new SlowBatches()],
    lr: 0.1,
  });
  await learn.fit(1);
  assert(over, "not all was answered in 200 batches");
  client.terminate();
  URL.revokeObjectURL(source);
  await server.shutdown();
  return await answers.promise;
}

Deno.test({
  name: "beside a fit a reply that computes nothing takes a batch, a picture no more batches than steps",
  ...wasmOnly,
  async fn() {
    const wrong = Array<string>(5).fill("/?n=0"), answers = await askBesideFit([...wrong, "/?seed=1"]);
    assertEquals(answers.map(([status]) => status), [...wrong.map(() => 400), 200]);
    const batches = answers.map(([, batches]) => batches), picture = batches.pop()!;
    const sum = batches.reduce((a, b) => a + b);
    assert(sum <= wrong.length, `${batches} batches for replies`);
    assert(picture <= STEPS, `${picture} batches for a picture of ${STEPS} steps`);
  },
});
