/** Functions and layers, forward and gradient, against PyTorch's numbers (tests/golden/make_layers.py). */
import { assertEquals } from "@std/assert";
import { BatchNorm1d, F, Flatten, Parameter, Tape, type Tensor, tf } from "../../../mod.ts";
import golden from "../../golden/layers.json" with { type: "json" };
import { assertClose } from "../../support.ts";

/** A tensor as the reference wrote it. */
const tensorOf = ([shape, data]: (number | number[])[][]): Tensor =>
  tf.tensor(data as number[], shape as number[]);

/** What is called for each case, in the order of its inputs. */
const FUNCTIONS: Record<keyof typeof golden.functions, (...xs: Tensor[]) => Tensor> = {
  "conv2d": (x, w, b) => F.conv2d(x, w, b),
  "conv2d stride 2, padding 1": (x, w, b) => F.conv2d(x, w, b, { stride: 2, padding: 1 }),
  "conv2d 1x3, rows left over": (x, w, b) => F.conv2d(x, w, b, { stride: 3 }),
  "linear": F.linear,
  "groupNorm": (x, g, b) => F.groupNorm(x, 2, g, b),
  "groupNorm with SiLU, eps 0.1": (x, g, b) => F.groupNorm(x, 3, g, b, { silu: true, eps: 0.1 }),
  "batchNorm [N,C]": (x, g, b) => F.batchNorm(x, g, b).y,
  "batchNorm [N,H,W,C]": (x, g, b) => F.batchNorm(x, g, b).y,
  "attention": (q, k, v) => F.attention(q, k, v, 2),
  "attention scale 0.3": (q, k, v) => F.attention(q, k, v, 1, 0.3),
  "silu": F.silu,
  "gelu": F.gelu,
  "relu": F.relu,
  "generalRelu": (x) => F.generalRelu(x, 0.1, 0.4),
  "averagePool": (x) => F.averagePool(x),
  "averagePool 3": (x) => F.averagePool(x, 3),
  "upsampleNearest": (x) => F.upsampleNearest(x),
  "mseLoss": F.mseLoss,
  "crossEntropy": (x) => F.crossEntropy(x, tf.tensor1d([2, 0, 4, 1], "int32")),
  "Flatten": (x) => new Flatten().call(x),
};

for (const [name, f] of Object.entries(FUNCTIONS)) {
  Deno.test(`${name}: PyTorch's output and gradients`, async () => {
    const { inputs, y, dy, grads } = golden.functions[name as keyof typeof golden.functions];
    const parameters = inputs.map((x) => new Parameter(tensorOf(x))), tape = new Tape();
    tape.start();
    const output = f(...parameters);
    tape.stop();
    await assertClose(output, tensorOf(y), 1e-5, name);
    tape.backward(output, tensorOf(dy));
    for (const [i, p] of parameters.entries()) {
      await assertClose(p.grad!, tensorOf(grads[i]), 1e-4, `${name}, gradient ${i}`);
    }
  });
}

Deno.test("batch norm over three batches, with another momentum and eps: PyTorch's outputs and running statistics", async () => {
  const layer = new BatchNorm1d(3, { eps: 1e-3, momentum: 0.3 });
  const { batches, outputs, mean, variance, evaluated } = golden.running;
  for (const [i, x] of batches.entries()) {
    await assertClose(layer.call(tensorOf(x)), tensorOf(outputs[i]), 1e-5);
  }
  await assertClose(layer.running_mean.value, tensorOf(mean), 1e-5);
  await assertClose(layer.running_var.value, tensorOf(variance), 1e-5);
  await assertClose(layer.eval().call(tensorOf(batches[0])), tensorOf(evaluated), 1e-5);
  assertEquals(layer.train().training, true);
});
