/** Losses and their gradients. */
import * as ops from "../../ops/mod.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, groupsOf, size } from "./gpu.ts";
import { sumItems } from "./reduce.ts";
import { NAN_BITS, workgroupSum } from "./shader.ts";

const THREADS = 128;
/** Numbers that a thread adds up in a mean's first pass. */
const ITEMS_A_THREAD = 16;

/** The mean over n numbers, each made by a WGSL expression of `i`. */
function meanOf(
  gpu: Gpu,
  name: string,
  read: Record<string, TensorInfo>,
  n: number,
  value: string,
  { types, sizes }: { types?: Record<string, string>; sizes?: Record<string, number> } = {},
): TensorInfo {
  const per = THREADS * ITEMS_A_THREAD, count = Math.ceil(n / per);
  const parts = gpu.output([count]);
  gpu.run(name, {
    read,
    write: { parts },
    sizes: { n, per, count, ...sizes },
    groups: groupsOf(count),
    shader: () => ({
      threads: THREADS,
      types,
      declarations: workgroupSum("f32"),
      body: `
  let part = id.y * counts.x + id.x;
  if (part >= u.count) { return; }
  var sum = 0.0;
  for (var i = part * u.per + t; i < min(u.n, (part + 1u) * u.per); i += THREADS) { sum += ${value}; }
  sum = total(sum, t);
  if (t == 0u) { parts[part] = sum; }`,
    }),
  });
  const mean = sumItems(gpu, parts, [1, count], [], 1 / n);
  gpu.free(parts);
  return mean;
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
    // A label outside the classes makes the loss NaN, and the gradient of its row.
    const value = `select(
    bitcast<f32>(u.nan),
    logSums[i] - logits[i * u.classes + min(u32(labels[i]), u.classes - 1u)],
    u32(labels[i]) < u.classes)`;
    const loss = meanOf(gpu, "CrossEntropy", { logSums, logits, labels }, n, value, {
      types: { labels: "i32" },
      sizes: { classes, nan: NAN_BITS },
    });
    return { loss, logSums };
  });
  ops.registerKernel("webgpu", ops.CrossEntropyGrad, ({ logits, labels, logSums, dy }) => {
    const [rows, classes] = logits.shape, dx = gpu.output(logits.shape);
    gpu.runEach("CrossEntropyGrad", size(logits.shape), {
      read: { logits, labels, logSums, dy },
      write: { dx },
      sizes: { rows, classes, nan: NAN_BITS },
      shader: () => ({
        types: { labels: "i32" },
        body: `
  let row = gid / u.classes;
  let p = exp(logits[gid] - logSums[row]);
  let label = u32(labels[row]);
  let hit = select(0.0, 1.0, label == gid % u.classes);
  dx[gid] = select(bitcast<f32>(u.nan), (p - hit) * dy[0] / f32(u.rows), label < u.classes);`,
      }),
    });
    return { dx };
  });
}
