/** Losses and their gradients. */
import * as ops from "../../ops/mod.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, size } from "./gpu.ts";
import { workgroupSum } from "./shader.ts";

const THREADS = 128;
/** Most workgroups of a mean's first pass, and threads of its second. */
const MAX_PARTS = 128;

/** The mean over n numbers, each made by a WGSL expression of `i`. */
function meanOf(
  gpu: Gpu,
  name: string,
  read: Record<string, TensorInfo>,
  n: number,
  value: string,
  types: Record<string, string> = {},
): TensorInfo {
  const count = Math.min(MAX_PARTS, Math.ceil(n / THREADS));
  const parts = gpu.output([count]), out = gpu.output([]);
  gpu.run(name, {
    read,
    write: { parts },
    sizes: { n, stride: count * THREADS },
    groups: [count],
    shader: () => ({
      threads: THREADS,
      types,
      declarations: workgroupSum("f32"),
      body: `
  var sum = 0.0;
  for (var i = gid; i < u.n; i += u.stride) { sum += ${value}; }
  sum = total(sum, t);
  if (t == 0u) { parts[id.x] = sum; }`,
    }),
  });
  gpu.run("MeanOfParts", {
    read: { parts },
    write: { out },
    sizes: { n, count },
    groups: [1],
    shader: () => ({
      threads: MAX_PARTS,
      declarations: workgroupSum("f32"),
      body: `
  var sum = 0.0;
  if (t < u.count) { sum = parts[t]; }
  sum = total(sum, t);
  if (t == 0u) { out[0] = sum / f32(u.n); }`,
    }),
  });
  gpu.free(parts);
  return out;
}

export function registerLoss(gpu: Gpu): void {
  ops.registerKernel("webgpu", ops.MseLoss, ({ input, target }) => {
    const value = "(input[i] - goal[i]) * (input[i] - goal[i])";
    return { loss: meanOf(gpu, "MseLoss", { input, goal: target }, size(input.shape), value) };
  });
  ops.registerKernel("webgpu", ops.MseLossGrad, ({ input, target, dy }) => {
    const dx = gpu.output(input.shape);
    gpu.runEach("MseLossGrad", size(input.shape), {
      read: { input, goal: target, dy },
      write: { dx },
      shader: () => ({ body: "dx[gid] = (input[gid] - goal[gid]) * (2.0 * dy[0] / f32(u.n));" }),
    });
    return { dx };
  });

  /** Mean of log Σ e^logit − logit of the label; and the log sums [N]. */
  ops.registerKernel("webgpu", ops.CrossEntropy, ({ logits, labels }) => {
    const [n, classes] = logits.shape, logSums = gpu.output([n]);
    gpu.runEach("LogSums", n, {
      read: { logits },
      write: { logSums },
      sizes: { classes },
      shader: () => ({
        body: `
  var largest = logits[gid * u.classes];
  for (var c = 1u; c < u.classes; c++) { largest = max(largest, logits[gid * u.classes + c]); }
  var sum = 0.0;
  for (var c = 0u; c < u.classes; c++) { sum += exp(logits[gid * u.classes + c] - largest); }
  logSums[gid] = largest + log(sum);`,
      }),
    });
    const value = "logSums[i] - logits[i * (arrayLength(&logits) / arrayLength(&logSums)) + u32(labels[i])]";
    const loss = meanOf(gpu, "CrossEntropy", { logSums, logits, labels }, n, value, { labels: "i32" });
    return { loss, logSums };
  });
  ops.registerKernel("webgpu", ops.CrossEntropyGrad, ({ logits, labels, logSums, dy }) => {
    const [rows, classes] = logits.shape, dx = gpu.output(logits.shape);
    gpu.runEach("CrossEntropyGrad", size(logits.shape), {
      read: { logits, labels, logSums, dy },
      write: { dx },
      sizes: { rows, classes },
      shader: () => ({
        types: { labels: "i32" },
        body: `
  let row = gid / u.classes;
  let p = exp(logits[gid] - logSums[row]);
  let hit = select(0.0, 1.0, u32(labels[row]) == gid % u.classes);
  dx[gid] = (p - hit) * dy[0] / f32(u.rows);`,
      }),
    });
    return { dx };
  });
}
