/** Adam's step in place, as many parameters a dispatch as the device has bindings for. */
import type { TensorInfo } from "../../tf.ts";
import type { AdamEntry } from "../../ops/mod.ts";
import type { Gpu } from "./gpu.ts";

const THREADS = 64;
/** Elements of a workgroup. */
const EACH = THREADS * 4;

/**
 * m ← β1·m + (1−β1)·g, v ← β2·v + (1−β2)·g², p ← p·(1 − lr·decay) − rate·m/(√v/√(1−β2ᵗ) + eps); g with an L2 penalty.
 */
export function registerAdam(gpu: Gpu): void {
  gpu.register("AdamStep", (_, { entries, skip }: { entries: AdamEntry[]; skip: TensorInfo | null }) => {
    // Four buffers a parameter.
    const most = Math.max(1, Math.floor((gpu.limits.maxStorageBuffersPerShaderStage - (skip ? 1 : 0)) / 4));
    for (let i = 0; i < entries.length; i += most) step(gpu, entries.slice(i, i + most), skip);
    return [];
  });
}

function step(gpu: Gpu, entries: AdamEntry[], skip: TensorInfo | null): void {
  const read: Record<string, TensorInfo> = skip ? { skip } : {}, write: Record<string, TensorInfo> = {};
  const sizes: Record<string, number> = {}, floats: Record<string, number> = {};
  let groups = 0;
  entries.forEach((e, i) => {
    read[`g${i}`] = e.grad;
    Object.assign(write, { [`p${i}`]: e.param, [`m${i}`]: e.m.value, [`v${i}`]: e.v.value });
    sizes[`n${i}`] = e.param.size;
    sizes[`from${i}`] = groups;
    groups += Math.ceil(e.param.size / EACH);
    const { beta1, beta2, eps, rootCorrection2, rate, lr, decay, l2 } = e;
    const values = { beta1, beta2, eps, root: rootCorrection2, rate, keep: 1 - lr * decay, l2 };
    for (const [name, value] of Object.entries(values)) floats[`${name}${i}`] = value;
  });
  const x = Math.min(groups, 32768);
  gpu.run("AdamStep", {
    ...{ read, write, sizes, floats, passing: true, threads: THREADS, groups: [x, Math.ceil(groups / x)] },
    declarations: entries.map((_, i) => `
fn update${i}(i: u32) {
  let g = g${i}[i] + u.l2${i} * p${i}[i];
  let m = u.beta1${i} * m${i}[i] + (1.0 - u.beta1${i}) * g;
  let v = u.beta2${i} * v${i}[i] + (1.0 - u.beta2${i}) * g * g;
  m${i}[i] = m; v${i}[i] = v;
  p${i}[i] = p${i}[i] * u.keep${i} - u.rate${i} * m / (sqrt(v) / u.root${i} + u.eps${i});
}`).join(""),
    body: `
  ${skip ? "if (skip[0] != 0.0) { return; }" : ""}
  let group = id.y * counts.x + id.x;
  ${
      entries.map((_, i) => {
        const next = i + 1 < entries.length ? `group < u.from${i + 1}` : "true";
        return `if (${next}) {
    let first = (group - u.from${i}) * ${EACH}u;
    for (var i = first + t; i < min(first + ${EACH}u, u.n${i}); i += THREADS) { update${i}(i); }
  }`;
      }).join(" else ")
    }`,
  });
}
