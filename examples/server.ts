// Draws clothes on request while the network that draws them trains: after
// `deno run -A examples/server.ts`, http://localhost:8000/?seed=7&n=4 is a PNG. Ctrl-C ends the server, then the fit.
// All share one thread: a request waits for the batch that is being trained on, each of a picture's 20 steps for another at
// most. Hence batches of few images: one takes about a second on two busy cores, a picture then up to half a minute.
import * as d from "../mod.ts";

/** What a server draws with. */
export interface Drawing {
  model: d.NoiseModel;
  schedule: d.Schedule;
  /** Height and width of an image. */
  size: number;
}

/** A server's handler: a seed gives the same picture with the same weights; a client that hangs up ends its drawing. */
export function drawOnRequest({ model, schedule, size }: Drawing): (request: Request) => Promise<Response> {
  return async ({ url, signal }) => {
    const { searchParams } = new URL(url);
    const [seed, n] = [Number(searchParams.get("seed") ?? 0), Number(searchParams.get("n") ?? 1)];
    if (!Number.isSafeInteger(seed) || seed < 0 || !Number.isInteger(n) || n < 1 || n > 16) {
      return new Response("seed is a whole number from 0 on, n one from 1 to 16\n", { status: 400 });
    }
    const generator = new d.Generator(seed), keep = (t: number) => t === 0;
    try {
      const [images] = await d.sample(model, [n, size, size, 1], { schedule, generator, keep, signal });
      const png = d.encodePng(d.imageGrid(images, { scale: 4, invert: true }));
      return new Response(png as BufferSource, { headers: { "content-type": "image/png" } });
    } catch (error) {
      if (signal.aborted) return new Response(null, { status: 499 }); // nobody reads it
      throw error;
    }
  };
}

/** Ends a fit after the batch in which a signal is aborted. */
export class StopOnSignalCB extends d.Callback {
  constructor(readonly signal: AbortSignal) {
    super();
  }
  override afterBatch(): void {
    if (this.signal.aborted) throw new d.CancelFitException();
  }
}

if (import.meta.main) {
  await d.useDevice();
  const { model, schedule, size } = await d.pretrained(), { train, test } = await d.fashionMnist();
  const transform = d.transforms.compose(d.transforms.toFloat(), d.transforms.resizeBilinear(size));
  const ctrlC = new AbortController();
  Deno.addSignalListener("SIGINT", () => ctrlC.abort());
  const few = d.respace(schedule, 20); // of 1000 steps, so that a picture takes a moment
  const server = Deno.serve({ signal: ctrlC.signal }, drawOnRequest({ model, schedule: few, size }));
  const learn = new d.TrainLearner(model, d.DataLoaders.from(train, test, { batchSize: 4, transform }), {
    lr: 1e-4,
    optFunc: (params, lr) => new d.Adam(params, { lr }),
    cbs: [new d.DeviceCB(), new d.DDPMCB({ schedule }), new d.MetricsCB(), new StopOnSignalCB(ctrlC.signal)],
  });
  await learn.fit(100);
  await server.shutdown();
}
