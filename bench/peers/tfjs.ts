/**
 * Stock tfjs's side of the benchmark, on its own WASM backend; the same requests and answers as `pytorch.py`. What
 * stock tfjs has no kernel for is "missing"; what it has in parts is written with its ops.
 */
import * as tf from "npm:@tensorflow/tfjs-core@4.22.0";
import * as wasm from "npm:@tensorflow/tfjs-backend-wasm@4.22.0";
import { measure } from "../measure.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
type Numbers = Record<string, number>;

/** A case as a function, or undefined where stock tfjs cannot do it. */
function prepare(c: Any): (() => Any) | undefined {
  const { n, h, ci, co, k, stride, m, b, t, heads, d, rows, columns, size, c: channels } = c as Numbers;
  const normal = (...shape: number[]): Any => tf.randomNormal(shape);
  const image = () => normal(n, h, h, channels);
  if (c.part === "backward") return undefined; // tfjs-core has no gradients of its own, nor kernels for most of them
  switch (c.kind) {
    case "conv": {
      if (c.part === "dw") return undefined;
      const ho = Math.ceil(h / stride), pad = Math.floor(k / 2);
      const [x, w, dy] = [normal(n, h, h, ci), normal(k, k, ci, co), normal(n, ho, ho, co)];
      if (c.part === "forward") return () => tf.conv2d(x, w, stride, pad, "NHWC", 1, "floor");
      const attrs = {
        strides: stride,
        pad,
        dataFormat: "NHWC",
        dimRoundingMode: "floor",
        inputShape: x.shape,
      };
      return () => tf.engine().runKernel("Conv2DBackpropInput", { dy, filter: w }, attrs as Any);
    }
    case "matmul": {
      const nn = c.n;
      const [x, y] = [c.ta ? normal(k, m) : normal(m, k), c.tb ? normal(nn, k) : normal(k, nn)];
      return () => tf.matMul(x, y, c.ta, c.tb);
    }
    case "attention": {
      const inputs = [0, 1, 2].map(() => normal(b, t, heads * d));
      const split = (x: Any): Any => tf.transpose(tf.reshape(x, [b, t, heads, d]), [0, 2, 1, 3]);
      return () => {
        const [q, k, v] = inputs.map(split);
        const p = tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(d)) as Any);
        return tf.reshape(tf.transpose(tf.matMul(p, v), [0, 2, 1, 3]), [b, t, heads * d]);
      };
    }
    case "groupnorm": {
      const x = image(), { groups } = c;
      return () => {
        const v = tf.reshape(x, [n, h * h, groups, channels / groups]);
        const { mean, variance } = tf.moments(v, [1, 3], true);
        const y = tf.reshape(tf.mul(tf.sub(v, mean), tf.rsqrt(tf.add(variance, 1e-5))), x.shape);
        return tf.mul(y, tf.sigmoid(y));
      };
    }
    case "batchnorm": {
      const x = image();
      return () => {
        const { mean, variance } = tf.moments(x, [0, 1, 2]);
        return tf.batchNorm(x, mean as Any, variance as Any);
      };
    }
    case "silu": {
      const x = normal(size);
      return () => tf.mul(x, tf.sigmoid(x));
    }
    case "gelu": {
      const x = normal(size);
      return () => tf.mul(x, tf.mul(0.5, tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2)))));
    }
    case "softmax": {
      const x = normal(rows, columns);
      return () => tf.softmax(x);
    }
    case "mse": {
      const [x, y] = [normal(size), normal(size)];
      return () => tf.mean(tf.squaredDifference(x, y));
    }
    case "crossentropy": {
      const x = normal(rows, columns), hot = tf.oneHot(tf.zeros([rows], "int32") as Any, columns);
      return () => tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(x), tf.cast(hot, "float32")), -1)));
    }
    case "upsample": {
      const x = image();
      return () => tf.image.resizeNearestNeighbor(x, [2 * h, 2 * h]);
    }
    case "add": {
      const [x, y] = [normal(size), normal(size)];
      return () => tf.add(x, y);
    }
    case "concat": {
      const [x, y] = [image(), image()];
      return () => tf.concat([x, y], -1);
    }
    case "sum": {
      const x = image();
      return () => tf.sum(x, [0, 1, 2]);
    }
    case "normal":
      return () => tf.randomNormal([size]);
  }
  return undefined;
}

async function answer(request: Any): Promise<unknown> {
  if (request.info) return { name: `tfjs ${tf.version_core}, WASM, ${wasm.getThreadsCount()} thread` };
  tf.engine().startScope();
  try {
    const run = prepare(request.case);
    if (!run) return { missing: "no kernel" };
    return { ms: await measure(() => tf.tidy(() => void run()), request.ms) };
  } finally {
    tf.engine().endScope();
  }
}

await tf.setBackend("wasm");
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
let rest = "";
for await (const text of lines) {
  const whole = (rest + text).split("\n");
  rest = whole.pop()!;
  for (const line of whole) {
    const reply = await answer(JSON.parse(line)).catch((error) => ({
      missing: String(error).split("\n")[0],
    }));
    console.log(JSON.stringify(reply));
  }
}
