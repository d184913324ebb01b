/** Nothing that assigns leaks: called again outside of a scope, each leaves the memory as it was. */
import { assertEquals } from "@std/assert";
import {
  Adam,
  AdamW,
  ArrayDataset,
  BatchNorm2d,
  Conv2d,
  DataLoaders,
  DeviceCB,
  EMACB,
  encodeSafetensors,
  GeneralRelu,
  HostArray,
  initDdpm,
  initWeights,
  Linear,
  loadWeights,
  lsuvInit,
  Module,
  nn,
  type Optimizer,
  Parameter,
  Sequential,
  SGD,
  type Tensor,
  tf,
  toTorch,
  TrainLearner,
  UNet,
} from "../../mod.ts";
import { random } from "../support.ts";

/** What a run gives back to call again, made once. */
const ASSIGNING: Record<string, () => Promise<() => unknown> | (() => unknown)> = {
  "Parameter.assign": () => {
    const p = new Parameter(tf.zeros([9]));
    return () => p.assign(tf.ones([9]));
  },
  "Parameter.assign of another parameter": () => {
    const p = new Parameter(tf.zeros([9])), q = new Parameter(tf.ones([9]));
    return () => p.assign(q);
  },
  "Parameter.setGrad, scaleGrad, zeroGrad": () => {
    const p = new Parameter(tf.zeros([9]));
    return () => {
      for (let i = 0; i < 2; i++) p.setGrad(tf.ones([9]));
      p.scaleGrad(2);
      p.zeroGrad();
    };
  },
  "a buffer's value": () => {
    const buffer = new nn.Buffer(tf.zeros([9]));
    return () => buffer.value = tf.ones([9]);
  },
  "loadStateDict": () => {
    const model = new Sequential(new Linear(3, 3), new BatchNorm2d(3));
    return () => model.loadStateDict(model.stateDict());
  },
  "loadStateDict that does not fit": () => {
    const model = new Linear(3, 3), other = new Linear(3, 4);
    return () => {
      try {
        model.loadStateDict(other.stateDict());
      } catch { /* as it must */ }
    };
  },
  "loadWeights": async () => {
    const model = new Sequential(new Linear(3, 3));
    const path = await Deno.makeTempFile({ suffix: ".safetensors" });
    await Deno.writeFile(path, encodeSafetensors(await toTorch(model.stateDict())));
    return () => loadWeights(model, path);
  },
  "initWeights": () => {
    const model = new Sequential(new Conv2d(2, 3, 3), new Conv2d(3, 2, 3));
    return () => initWeights(model, 0.1);
  },
  "lsuvInit": () => {
    const conv = new Conv2d(1, 4, 3), act = new GeneralRelu({ leak: 0.1 });
    const model = new Sequential(conv, act), x = random([4, 7, 7, 1]);
    return () => {
      initWeights(model);
      conv.bias!.assign(tf.zeros([4]));
      return lsuvInit(model, x, [[conv, act]], { tolerance: 0.02 });
    };
  },
  "initDdpm": () => {
    const model = new UNet({
      in_channels: 1,
      out_channels: 1,
      block_out_channels: [4, 8],
      norm_num_groups: 2,
      attention_head_dim: 4,
      layers_per_block: 1,
      down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
      up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
    });
    return () => initDdpm(model);
  },
  "BatchNorm in training": () => {
    const norm = new BatchNorm2d(3), x = random([2, 4, 4, 3]);
    return () => norm.call(x).dispose();
  },
  "EMACB.apply, dispose": async () => {
    const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
    const model = new Linear(1, 1), ema = new EMACB(0.9);
    const learn = new TrainLearner(model, DataLoaders.from(line, line, { batchSize: 2 }), {
      cbs: [new DeviceCB(), ema],
    });
    await learn.fit(1);
    return () => ema.apply();
  },
  "making and freeing a model": () => () => {
    class Nested extends Module<[Tensor], Tensor> {
      parts = [[new Linear(3, 3)], [new BatchNorm2d(3), new Conv2d(1, 1, 3)]];
      override forward(x: Tensor): Tensor {
        return x;
      }
    }
    const model = new Nested();
    for (const p of model.parameters()) p.setGrad(tf.zeros(p.shape));
    model.dispose();
  },
};

const OPTIMISERS: Record<string, (p: Parameter[]) => Optimizer> = {
  Adam: (p) => new Adam(p, { weightDecay: 0.1 }),
  AdamW: (p) => new AdamW(p),
  "SGD with momentum": (p) => new SGD(p, { lr: 0.1, momentum: 0.9, weightDecay: 0.1 }),
};
for (const [name, make] of Object.entries(OPTIMISERS)) {
  const stepped = () => {
    const p = new Parameter(tf.ones([9])), opt = make([p]);
    const step = () => {
      p.setGrad(tf.ones([9]));
      opt.step();
    };
    step();
    return { opt, step };
  };
  ASSIGNING[`${name}: step`] = () => stepped().step;
  ASSIGNING[`${name}: loadState`] = () => {
    const { opt } = stepped();
    return () => opt.loadState(opt.state());
  };
  ASSIGNING[`${name}: a life`] = () => () => {
    const { opt } = stepped();
    opt.dispose();
    for (const p of opt.paramGroups[0].params) p.dispose();
  };
}

for (const [name, make] of Object.entries(ASSIGNING)) {
  Deno.test(`${name}: memory stays as it was`, async () => {
    const run = await make();
    const held = () => [tf.memory().numTensors, tf.memory().numBytes, tf.memory().numDataBuffers];
    await run();
    const before = held();
    for (let i = 0; i < 3; i++) await run();
    assertEquals(held(), before, "tensors, bytes, buffers");
  });
}
