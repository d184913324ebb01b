/** Dynamic loss scaling without reading anything back (Micikevicius et al. 2018). */
import type { Parameter } from "../../autograd/tape.ts";
import type { Tensor, TensorInfo } from "../../tf.ts";
import type { Gpu } from "./gpu.ts";

const THREADS = 64;
/** Elements of a workgroup. */
const EACH = THREADS * 4;

export function registerScale(gpu: Gpu): void {
  /** Divides gradients by scale[0] in place; bad[0] becomes 1 if one of them is infinite or no number. */
  gpu.register(
    "UnscaleGrads",
    (_, { params, scale, bad }: { params: Parameter[]; scale: TensorInfo; bad: TensorInfo }) => {
      const grads = params.flatMap(({ grad }) => grad ?? []);
      const most = gpu.limits.maxStorageBuffersPerShaderStage - 2;
      for (let i = 0; i < grads.length; i += most) unscale(gpu, grads.slice(i, i + most), scale, bad);
      return [];
    },
  );
  /** After a bad step the scale halves; after `every` good ones in a row it doubles. bad[0] becomes 0 again. */
  gpu.register("UpdateLossScale", (_, { scale, good, bad, every }) => {
    gpu.run("UpdateLossScale", {
      ...{ write: { scale, good, bad }, floats: { every }, threads: 1, groups: [1] },
      body: `
  if (bad[0] != 0.0) {
    scale[0] = max(scale[0] * 0.5, 1.0); good[0] = 0.0;
  } else {
    good[0] += 1.0;
    if (good[0] >= u.every) { scale[0] = min(scale[0] * 2.0, 16777216.0); good[0] = 0.0; }
  }
  bad[0] = 0.0;`,
    });
    return [];
  });
}

function unscale(gpu: Gpu, grads: Tensor[], scale: TensorInfo, bad: TensorInfo): void {
  const write: Record<string, TensorInfo> = { bad }, sizes: Record<string, number> = {};
  let groups = 0;
  grads.forEach((g, i) => {
    write[`g${i}`] = g;
    sizes[`n${i}`] = g.size;
    sizes[`from${i}`] = groups;
    groups += Math.ceil(g.size / EACH);
  });
  const x = Math.min(groups, 32768);
  gpu.run("UnscaleGrads", {
    ...{ read: { scale }, write, sizes, threads: THREADS, groups: [x, Math.ceil(groups / x)] },
    body: `
  let group = id.y * counts.x + id.x;
  let inverse = 1.0 / scale[0];
  ${
      grads.map((_, i) => {
        const next = i + 1 < grads.length ? `group < u.from${i + 1}` : "true";
        return `if (${next}) {
    let first = (group - u.from${i}) * ${EACH}u;
    for (var i = first + t; i < min(first + ${EACH}u, u.n${i}); i += THREADS) {
      let g = g${i}[i] * inverse;
      g${i}[i] = g;
      // by the bits: a shader compiler may take it that numbers are finite
      if ((bitcast<u32>(g) & 0x7f800000u) == 0x7f800000u) { bad[0] = 1.0; }
    }
  }`;
      }).join(" else ")
    }`,
  });
}
