/** What the device is asked for that is not there: no elements, kernels that do not compile, indices outside. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { currentGpu, F, grad, type Tensor, tf } from "../../../../mod.ts";
import { device, numbers, script } from "../../../support.ts";

const onGpu = { ignore: device.name !== "webgpu" };
const env = { DENOISE_DEVICE: "webgpu", XDG_RUNTIME_DIR: "/tmp" };
const none = (...shape: number[]): Tensor => tf.tensor([], shape);
const whole = (values: number[]) => tf.tensor1d(values, "int32");

/** Whole numbers that the device has, and the host no more. */
function uploaded(values: number[]): Tensor {
  const x = whole(values);
  tf.cast(x, "float32").dispose();
  return x;
}

/** Fails unless the device computes. */
async function assertAlive(): Promise<void> {
  assertEquals(await numbers(tf.add(tf.scalar(1), 1)), [2]);
}

Deno.test(
  "no elements where there must be some: an error that names the op, and the device goes on",
  onGpu,
  async () => {
    assertThrows(() => tf.max(none(0, 3)), Error, "Max: x of shape [0,3] has no elements");
    assertThrows(() => F.crossEntropy(none(0, 3), whole([])), Error, "CrossEntropy: logits of shape [0,3]");
    assertThrows(() => F.silu(none(0)), Error, "Silu: x of shape [0]");
    await assertAlive();
  },
);

Deno.test("a kernel that the device refuses fails by its name, and the device goes on", onGpu, async () => {
  const gpu = currentGpu()!;
  const fill = (kernel: string, body: string, threads = 3) => {
    const y = gpu.output([3]);
    gpu.run(kernel, { write: { y }, groups: [1], shader: () => ({ threads, body }) });
    return tf.engine().makeTensorFromTensorInfo(y).data();
  };
  for (let i = 0; i < 2; i++) {
    await assertRejects(() => fill("Misspelt", "y[t] = nonsense;"), Error, "the kernel Misspelt");
    await assertAlive();
    await assertRejects(() => fill("TooWide", "y[t] = 1.0;", 1 << 20), Error, "the kernel TooWide");
    await assertAlive();
  }
  assertEquals(gpu.failure, null);
});

Deno.test(
  "labels outside the classes: an error that names them, NaN where only the device knows",
  onGpu,
  async () => {
    const x = tf.tensor2d([[1, 2, 3], [1, 2, 3]]);
    for (const label of [3, -1, -100, 1e6]) {
      const loss = () => F.crossEntropy(x, whole([0, label]));
      assertThrows(loss, RangeError, `CrossEntropy: labels lie in [0, 3), not ${label} at place 1`);
      const onDevice = uploaded([0, label]);
      assertEquals(await numbers(F.crossEntropy(x, onDevice)), [NaN]);
      const dx = await numbers(grad((x) => F.crossEntropy(x, onDevice), [x])[0]);
      assert(dx.slice(0, 3).every(Number.isFinite) && dx.slice(3).every(Number.isNaN), `${dx}`);
    }
  },
);

Deno.test(
  "indices outside a table: an error that names them, NaN where only the device knows",
  onGpu,
  async () => {
    const table = tf.tensor2d([[1, 2], [3, 4], [5, 6]]);
    for (const index of [3, -1, 1000]) {
      assertThrows(
        () => tf.gather(table, whole([0, index])),
        RangeError,
        `gather: indices lie in [0, 3), not ${index} at place 1`,
      );
      const onDevice = uploaded([2, index]);
      assertEquals(await numbers(tf.gather(table, onDevice)), [5, 6, NaN, NaN]);
    }
    const wide = tf.gather(
      tf.tensor3d([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
      tf.tensor2d([[1, 0, 1]], [1, 3], "int32"),
      1,
    );
    assertEquals(wide.shape, [2, 1, 3, 2]);
    assertEquals(await numbers(wide), [3, 4, 1, 2, 3, 4, 7, 8, 5, 6, 7, 8]);
  },
);

Deno.test(
  "a tensor that is disposed of while it is read is read, and the device goes on",
  onGpu,
  async () => {
    const x = tf.add(tf.fill([5], 3), 1), values = x.data();
    x.dispose();
    assertEquals(Array.from(await values), [4, 4, 4, 4, 4]);
    await assertAlive();
  },
);

Deno.test("what no kernel has written is NaN or 1000 in these tests", onGpu, async () => {
  const gpu = currentGpu()!, y = gpu.output([5]);
  gpu.run("FirstOnly", {
    write: { y },
    groups: [1],
    shader: () => ({ threads: 1, body: "y[0] = 2.0;" }),
  });
  const [first, ...rest] = await numbers(tf.engine().makeTensorFromTensorInfo(y));
  assertEquals(first, 2);
  assert(rest.every((v) => Number.isNaN(v) || v === 1000), `${rest}`);
});

/** A kernel that the device does not compile, with what it should have filled. */
const BROKEN = `
  const gpu = d.currentGpu(), { engine } = tf;
  const broken = (name = "Broken", x) => {
    const y = gpu.output([4]);
    gpu.run(name, { key: [!!x], read: { x }, write: { y }, groups: [1], shader: () => ({ threads: 4, body: "y[t] = nonsense;" }) });
    return engine().makeTensorFromTensorInfo(y);
  };
  const say = (what, x) => x.data().then((v) => console.log(what, v.join()), (e) => console.log(what, e.name, e.message.split("\\n")[0].slice(0, 90)));`;

Deno.test(
  "a refused kernel spoils what it wrote and what came of it, each time it is read, and nothing else",
  onGpu,
  async () => {
    const { out, err } = await script(
      `await d.useDevice(undefined, { log: null });
     ${BROKEN}
     const a = tf.tensor1d([1, 2, 3, 4]), before = tf.mul(a, 2), y = broken(), after = F.silu(tf.zeros([4]));
     const next = tf.add(y, 1), ours = F.silu(next), shape = tf.reshape(y, [2, 2]);
     await say("before", before);
     await say("after", after);
     for (const [what, x] of Object.entries({ y, next, ours, shape, y2: y })) await say(what, x);
     await say("independent", tf.add(before, after));
     await say("later", tf.add(y, 2));
     const p = new d.Parameter(tf.ones([4])), optimizer = new d.Adam([p], { lr: 1 });
     p.setGrad(broken("Gradient"));
     optimizer.step();
     await say("parameter", p);
     console.log(gpu.failure, await tf.add(1, 1).data().then(([v]) => v));
     Deno.exit(0);`,
      env,
      ["-A"],
    );
    const refused = "DeviceError The WebGPU device refused the kernel Broken";
    const lines = out.split("\n").map((line) => line.replace(/: .*/, ""));
    assertEquals(lines, [
      "before 2,4,6,8",
      "after 0,0,0,0",
      `y ${refused}`,
      `next ${refused}`,
      `ours ${refused}`,
      `shape ${refused}`,
      `y2 ${refused}`,
      "independent 2,4,6,8",
      `later ${refused}`,
      "parameter DeviceError The WebGPU device refused the kernel Gradient",
      "null 2",
    ], err);
  },
);

Deno.test(
  "no memory for a tensor: that tensor is an error by its kernel's name, the rest goes on",
  onGpu,
  async () => {
    const { out, err } = await script(
      `await d.useDevice(undefined, { log: null });
     const { createBuffer } = GPUDevice.prototype;
     let refuse = false;
     GPUDevice.prototype.createBuffer = function (descriptor) {
       const { size } = descriptor; // a size that no device has
       if (!refuse || size < 1e6) return createBuffer.call(this, descriptor);
       return Object.defineProperty(createBuffer.call(this, { ...descriptor, size: 2 ** 50 }), "size", { value: size });
     };
     const say = (what, x) => x.data().then((v) => console.log(what, v[0]), (e) => console.log(what, e.name, e.message.replace(/bytes.*/s, "bytes")));
     const a = tf.ones([512, 1024]), small = tf.ones([3]), kept = tf.ones([512, 1024]).dispose();
     await say("before", F.silu(a));
     refuse = true;
     const wide = () => F.upsampleNearest(tf.ones([1, 16, 16, 40]), 8), big = F.silu(wide()), other = tf.add(small, 1);
     await say("big", big);
     await say("of big", tf.sum(big));
     try { F.silu(tf.tensor1d(new Float32Array(500 * 1024))); } catch (error) { console.log("upload", error.name, error.message.replace(/bytes.*/s, "bytes")); }
     await say("small", other);
     refuse = false;
     big.dispose();
     await say("again", F.silu(wide()));
     console.log(d.currentGpu().failure);
     Deno.exit(0);`,
      env,
      ["-A"],
    );
    const refused = "DeviceError Upsample: the WebGPU device has no memory for a tensor of 2621440 bytes";
    assertEquals(
      out.replaceAll(/0\.7310\d+/g, "0.731"),
      [
        "before 0.731",
        `big ${refused}`,
        `of big ${refused}`,
        "upload DeviceError Silu: the WebGPU device has no memory for a tensor of 2048000 bytes",
        "small 2",
        "again 0.731",
        "null",
      ].join("\n"),
      err,
    );
  },
);
