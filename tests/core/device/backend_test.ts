/** A program's own tfjs beside the library: it goes on working before, while and after a device of ours is in use. */
import { assertEquals } from "@std/assert";
import { device, script } from "../../support.ts";

const env = { DENOISE_DEVICE: device.name, DENOISE_THREADS: "2", XDG_RUNTIME_DIR: "/tmp" };

/** What a program may do with tfjs: gradients, its own optimisers, and a layer as tfjs-layers has them. */
const USE = `
  const use = async () => {
    const said = [];
    said.push(...await tfjs.grad((x) => tfjs.square(x))(tfjs.scalar(3)).data());
    const w = tfjs.variable(tfjs.tensor2d([[1], [2]])), x = tfjs.tensor2d([[1, 2], [3, 4]]);
    const loss = () => tfjs.mean(tfjs.square(tfjs.sub(tfjs.matMul(x, w), 1)));
    const { value, grads } = tfjs.variableGrads(loss);
    said.push(...await value.data(), ...await grads[w.name].data());
    for (const optimizer of [tfjs.train.sgd(0.01), tfjs.train.adam(0.1), tfjs.train.rmsprop(0.01)]) {
      optimizer.minimize(loss);
      optimizer.dispose();
    }
    said.push(...await w.data());
    const image = tfjs.reshape(tfjs.range(0, 32), [1, 4, 4, 2]), filter = tfjs.ones([3, 3, 2, 1]);
    said.push(...await tfjs.grad((x) => tfjs.conv2d(x, filter, 1, "same"))(image).data());
    said.push(...await tfjs.customGrad((x) => ({ value: tfjs.exp(x), gradFunc: (dy) => tfjs.mul(dy, 7) }))(
      tfjs.scalar(0)).data());
    tfjs.disposeVariables();
    return said.map((v) => v.toPrecision(4)).join();
  };`;

for (
  const [what, backend, load] of [
    [
      "the same tfjs on a WASM backend of its own",
      "wasm",
      'import "npm:@tensorflow/tfjs-backend-wasm@4.22.0"; ',
    ],
    ["the same tfjs on its CPU backend", "cpu", 'import "npm:@tensorflow/tfjs-backend-cpu@4.22.0";'],
  ]
) {
  Deno.test(`${what}: tensors and gradients before, while and after`, async () => {
    const { out, err } = await script(
      `import * as tfjs from "npm:@tensorflow/tfjs-core@4.22.0";
       ${load}
       ${USE}
       await tfjs.setBackend("${backend}");
       await tfjs.ready();
       const mine = tfjs.tensor1d([1, 2, 3]), grown = tfjs.variable(tfjs.scalar(5));
       const before = await use(), kept = tfjs.square(mine);
       await d.useDevice(undefined, { log: null });
       console.log(tfjs.getBackend(), await use() === before || [before, await use()].join(" "));
       console.log((await mine.data()).join(), (await kept.data()).join());
       console.log((await tfjs.add(mine, kept).data()).join(), (await tfjs.mul(grown, 2).data()).join());
       grown.assign(tfjs.scalar(6));
       const [dx] = d.grad((x) => tf.mul(x, x), [tf.scalar(3)]);
       console.log((await grown.data())[0], (await dx.data())[0]);
       await d.closeDevice();
       console.log(tfjs.getBackend(), await use() === before);
       const again = tfjs.tensor1d([4]);
       await d.useDevice(undefined, { log: null });
       console.log((await tfjs.square(again).data())[0], (await F.silu(tf.zeros([1])).data())[0]);
       Deno.exit(0);`,
      env,
      ["-A", "--no-lock"],
      120_000,
    );
    assertEquals(
      out,
      `${device.name} true\n1,2,3 1,4,9\n2,6,12 10\n6 6\n${backend} true\n16 0`,
      err,
    );
  });
}
