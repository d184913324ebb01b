/** Dynamic loss scaling without reading anything back (Micikevicius et al. 2018). */
import { MAX_SCALE, MIN_SCALE } from "../../ops/loss_scale.ts";
import * as ops from "../../ops/mod.ts";
import type { Tensor, TensorInfo } from "../../tf.ts";
import { chunksOf, eachChunk } from "./chunks.ts";
import type { Gpu } from "./gpu.ts";

/** A float's exponent bits, all set in infinities and what is no number. */
const EXPONENT = "0x7f800000u";

export function registerLossScale(gpu: Gpu): void {
  /** Divides gradients by scale[0] in place; bad[0] becomes 1 if one of them is infinite or no number. */
  ops.registerKernel("webgpu", ops.UnscaleGrads, (_, { params, scale, bad }) => {
    const grads = params.flatMap(({ grad }) => grad ?? []);
    const most = gpu.limits.maxStorageBuffersPerShaderStage - 2;
    for (let i = 0; i < grads.length; i += most) unscale(gpu, grads.slice(i, i + most), scale, bad);
    return {};
  });
  /** After a bad step the scale halves; after `every` good ones in a row it doubles. bad[0] becomes 0 again. */
  ops.registerKernel("webgpu", ops.UpdateLossScale, (_, { scale, good, bad, every }) => {
    gpu.run("UpdateLossScale", {
      write: { scale, good, bad },
      floats: { every },
      groups: [1],
      shader: () => ({
        threads: 1,
        body: `
  if (bad[0] != 0.0) {
    scale[0] = max(scale[0] * 0.5, f32(${MIN_SCALE})); good[0] = 0.0;
  } else {
    good[0] += 1.0;
    if (good[0] >= u.every) { scale[0] = min(scale[0] * 2.0, f32(${MAX_SCALE})); good[0] = 0.0; }
  }
  bad[0] = 0.0;`,
      }),
    });
    return {};
  });
}

/** As {@link registerLossScale} tells, for as many gradients as a run can bind. */
function unscale(gpu: Gpu, grads: Tensor[], scale: TensorInfo, bad: TensorInfo): void {
  const { sizes, groups } = chunksOf(grads);
  gpu.run("UnscaleGrads", {
    key: [grads.length],
    read: { scale },
    write: { bad, ...Object.fromEntries(grads.map((g, i) => [`g${i}`, g])) },
    sizes,
    groups,
    // By the bits: a shader compiler may take it that numbers are finite.
    shader: () =>
      eachChunk(grads.length, "let inverse = 1.0 / scale[0];", (n) => `
      let g = g${n}[i] * inverse;
      g${n}[i] = g;
      if ((bitcast<u32>(g) & ${EXPONENT}) == ${EXPONENT}) { bad[0] = 1.0; }`),
  });
}
