/** Our WebGPU kernels replaced by stock tfjs ops: what a model costs without kernels of its own. */
import { ops } from "../core/mod.ts";
import { runKernel, tf } from "../core/tf.ts";
import type { Tensor } from "../core/tf.ts";

type KernelConfig = Parameters<typeof tf.registerKernel>[0];

/** A convolution's attributes as tfjs's kernels take them. */
const convAttrs = ({ stride, padding }: { stride: number; padding: number }) => ({
  strides: [stride, stride],
  pad: padding,
  dataFormat: "NHWC",
  dilations: [1, 1],
  dimRoundingMode: "floor",
});

/** Runs an op by another body than its reference. */
function useBody<I, A, O>(op: ops.Op<I, A, O>, reference: (inputs: I, attrs: A) => O): void {
  ops.register({ ...op as ops.AnyOp, reference });
}

/**
 * Replaces our WebGPU kernels by tfjs's own and by references. Call it after `useDevice("webgpu")`, with
 * what the package had registered before.
 */
export function useStockKernels(packageKernels: KernelConfig[]): void {
  for (const { kernelName } of tf.getKernelsForBackend("webgpu")) tf.unregisterKernel(kernelName, "webgpu");
  packageKernels.forEach((k) => tf.registerKernel(k));
  // Convolutions are tfjs's: the references take them apart into products.
  useBody(ops.Conv2d, ({ x, filter, bias, residual }, attrs) => {
    let y: Tensor = runKernel("Conv2D", { x, filter }, convAttrs(attrs));
    if (bias) y = tf.add(y, bias);
    return { y: residual ? tf.add(y, residual) : y };
  });
  useBody(ops.Conv2dInputGrad, (inputs, { inputShape, ...attrs }) => ({
    dx: runKernel("Conv2DBackpropInput", inputs, { ...convAttrs(attrs), inputShape }),
  }));
  useBody(ops.Conv2dFilterGrad, (inputs, { filterShape, ...attrs }) => ({
    dFilter: runKernel("Conv2DBackpropFilter", inputs, { ...convAttrs(attrs), filterShape }),
  }));
}
