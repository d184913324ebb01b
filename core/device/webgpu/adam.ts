/** Adam's step in place, as many parameters a run as the device has bindings for. */
import * as ops from "../../ops/mod.ts";
import type { TensorInfo } from "../../tf.ts";
import { chunksOf, eachChunk } from "./chunks.ts";
import type { Gpu } from "./gpu.ts";

/** Tensors that a parameter binds: itself, its gradient and two moments. */
const TENSORS_A_PARAMETER = 4;

/**
 * m ← β1·m + (1−β1)·g, v ← β2·v + (1−β2)·g², p ← p·(1 − lr·decay) − rate·m/(√v/√(1−β2ᵗ) + eps); g with an L2 penalty.
 */
export function registerAdam(gpu: Gpu): void {
  ops.registerKernel("webgpu", ops.AdamStep, (_, { entries, skip }) => {
    const bindings = gpu.limits.maxStorageBuffersPerShaderStage - (skip ? 1 : 0);
    const most = Math.max(1, Math.floor(bindings / TENSORS_A_PARAMETER));
    for (let i = 0; i < entries.length; i += most) step(gpu, entries.slice(i, i + most), skip);
    return {};
  });
}

/** Nothing happens where skip[0] is not 0. */
function step(gpu: Gpu, entries: ops.AdamEntry[], skip: TensorInfo | null): void {
  const read: Record<string, TensorInfo> = skip ? { skip } : {}, write: Record<string, TensorInfo> = {};
  const floats: Record<string, number> = {};
  entries.forEach((e, i) => {
    read[`g${i}`] = e.grad;
    write[`p${i}`] = e.param;
    write[`m${i}`] = e.m.value;
    write[`v${i}`] = e.v.value;
    floats[`beta1${i}`] = e.beta1;
    floats[`beta2${i}`] = e.beta2;
    floats[`eps${i}`] = e.eps;
    floats[`root${i}`] = e.rootCorrection2;
    floats[`rate${i}`] = e.rate;
    floats[`keep${i}`] = 1 - e.lr * e.decay;
    floats[`l2${i}`] = e.l2;
  });
  const { sizes, groups } = chunksOf(entries.map((e) => e.param));
  gpu.run("AdamStep", {
    key: [entries.length, !!skip],
    read,
    write,
    sizes,
    floats,
    passing: true,
    groups,
    shader: () =>
      eachChunk(entries.length, skip ? "if (skip[0] != 0.0) { return; }" : "", (n) => `
      let g = g${n}[i] + u.l2${n} * p${n}[i];
      let m = u.beta1${n} * m${n}[i] + (1.0 - u.beta1${n}) * g;
      let v = u.beta2${n} * v${n}[i] + (1.0 - u.beta2${n}) * g * g;
      m${n}[i] = m; v${n}[i] = v;
      p${n}[i] = p${n}[i] * u.keep${n} - u.rate${n} * m / (sqrt(v) / u.root${n} + u.eps${n});`),
  });
}
