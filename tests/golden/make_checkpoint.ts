/**
 * Makes checkpoint.safetensors and checkpoint.json with the version before callbacks' states had names: run it with a
 * checkout of fab5e5d as its argument. The learner is that of tests/callbacks/checkpoint_golden_test.ts.
 */

/** A learner with every kind of state; d is Denoise. */
// deno-lint-ignore no-explicit-any
export function makeLearner(d: any, path: string, resume: boolean, stopAt?: [epoch: number, iter: number]) {
  class AbsoluteError extends d.Mean {
    // deno-lint-ignore no-explicit-any
    update(preds: any, target: any) {
      d.tf.tidy(() => this.add(d.tf.mean(d.tf.abs(d.tf.sub(preds, target))), preds.shape[0]));
    }
  }
  d.setSeed(11);
  const set = (n: number, salt: number) => ({
    images: new d.HostArray(Float32Array.from({ length: n * 3 }, (_, i) => ((i * 37 + salt) % 19) / 19), [n, 3]),
    labels: new d.HostArray(Float32Array.from({ length: n }, (_, i) => ((i * 11 + salt) % 7) / 7), [n, 1]),
  });
  const model = new d.Sequential(
    new d.Linear(3, 8),
    new d.BatchNorm1d(8),
    new d.Dropout(0.3),
    new d.Linear(8, 1),
  );
  const metrics = Object.assign(new d.MetricsCB({ error: new AbsoluteError() }), { log: () => {} });
  // deno-lint-ignore no-explicit-any
  const recorder = new d.RecorderCB({ loss: (learn: any) => learn.loss });
  const checkpoint = new d.CheckpointCB({ path, resume });
  const [stopEpoch, stopIter] = stopAt ?? [];
  class StopAt extends d.Callback {
    order = 50;
    // deno-lint-ignore no-explicit-any
    afterBatch(learn: any) {
      if (learn.training && learn.epoch === stopEpoch && learn.iter === stopIter) checkpoint.stop();
    }
  }
  const learn = new d.TrainLearner(model, d.DataLoaders.from(set(22, 1), set(6, 5), { batchSize: 4, seed: 3 }), {
    // deno-lint-ignore no-explicit-any
    optFunc: (params: any, lr: number) => new d.Adam(params, { lr }),
    cbs: [
      new d.DeviceCB(),
      metrics,
      recorder,
      // deno-lint-ignore no-explicit-any
      new d.BatchSchedCB((opt: any, totalSteps: number) => new d.OneCycleLR(opt, { maxLr: 0.05, totalSteps })),
      new d.AccumulateGradCB(4),
      new d.EMACB(0.9),
      checkpoint,
      new StopAt(),
    ],
  });
  return { learn, model, metrics, recorder };
}

/** What a run comes to: losses, rows, weights. */
export async function outcome({ model, metrics, recorder }: ReturnType<typeof makeLearner>) {
  const weights: Record<string, number[]> = {};
  for (const [name, x] of Object.entries(model.stateDict())) {
    weights[name] = Array.from(await (x as { data(): Promise<Float32Array> }).data());
  }
  return { losses: recorder.values.loss, rows: metrics.rows, weights };
}

if (import.meta.main) {
  const d = await import(new URL("mod.ts", `file://${Deno.args[0]}/`).href);
  await d.useDevice("wasm", { log: null });
  const here = new URL(".", import.meta.url).pathname;
  const whole = makeLearner(d, await Deno.makeTempFile(), false);
  await whole.learn.fit(3);
  await Deno.writeTextFile(`${here}/checkpoint.json`, JSON.stringify(await outcome(whole)) + "\n");
  // One of four batches waits for its step, in the middle of the second epoch.
  await makeLearner(d, `${here}/checkpoint.safetensors`, false, [1, 4]).learn.fit(3);
}
