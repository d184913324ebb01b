/** Losses and softmax gradients. */
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, grid, size, workgroupSum } from "./gpu.ts";

const THREADS = 128;
/** Workgroups of the first pass of a mean. */
const PARTS = 128;

/** The mean over n numbers, each made by a WGSL expression of `i`. */
function meanOf(
  gpu: Gpu,
  name: string,
  read: Record<string, TensorInfo>,
  n: number,
  value: string,
  types: Record<string, string> = {},
): TensorInfo {
  const parts = gpu.output([Math.min(PARTS, Math.ceil(n / THREADS))]), out = gpu.output([]);
  gpu.run(name, {
    ...{ read, types, write: { parts }, sizes: { n, stride: parts.shape[0] * THREADS }, threads: THREADS },
    ...{ groups: [parts.shape[0]], declarations: workgroupSum("f32") },
    body: `
  var sum = 0.0;
  for (var i = gid; i < u.n; i += u.stride) { sum += ${value}; }
  sum = total(sum, t);
  if (t == 0u) { parts[id.x] = sum; }`,
  });
  gpu.run("MeanOfParts", {
    ...{ read: { parts }, write: { out }, sizes: { n, count: parts.shape[0] }, threads: PARTS, groups: [1] },
    declarations: workgroupSum("f32"),
    body: `
  var sum = 0.0;
  if (t < u.count) { sum = parts[t]; }
  sum = total(sum, t);
  if (t == 0u) { out[0] = sum / f32(u.n); }`,
  });
  gpu.free(parts);
  return out;
}

/** A kernel with a workgroup a row [rows, columns]; the body knows `row` (its first element) and `total`. */
function perRow(
  gpu: Gpu,
  name: string,
  like: TensorInfo,
  read: Record<string, TensorInfo>,
  body: string,
): TensorInfo {
  const columns = like.shape.at(-1)!, rows = size(like.shape) / columns, out = gpu.output(like.shape);
  const [x, y] = grid(rows, 1);
  gpu.run(name, {
    ...{ read, write: { out }, sizes: { rows, columns }, threads: 32, groups: [x, y] },
    declarations: workgroupSum("f32"),
    body: `
  let r = id.y * counts.x + id.x;
  if (r >= u.rows) { return; }
  let row = r * u.columns;
  ${body}`,
  });
  return out;
}

export function registerLoss(gpu: Gpu): void {
  gpu.register(
    "MseLoss",
    ({ input, target }) =>
      meanOf(gpu, "MseLoss", { a: input, b: target }, size(input.shape), "(a[i] - b[i]) * (a[i] - b[i])"),
  );
  gpu.register("MseLossGrad", ({ input, target, dy }) => {
    const dx = gpu.output(input.shape), n = size(input.shape);
    gpu.run("MseLossGrad", {
      ...{ read: { a: input, b: target, dy }, write: { dx }, sizes: { n }, threads: 64, groups: grid(n, 64) },
      body: "if (gid < u.n) { dx[gid] = (a[gid] - b[gid]) * (2.0 * dy[0] / f32(u.n)); }",
    });
    return dx;
  });

  /** Mean of log Σ e^logit − logit of the label; and the log sums [N]. */
  gpu.register("CrossEntropy", ({ logits, labels }) => {
    const [n, classes] = logits.shape, logSums = gpu.output([n]);
    gpu.run("LogSums", {
      ...{ read: { logits }, write: { logSums }, sizes: { n, classes }, threads: 64, groups: grid(n, 64) },
      body: `
  if (gid >= u.n) { return; }
  var largest = logits[gid * u.classes];
  for (var c = 1u; c < u.classes; c++) { largest = max(largest, logits[gid * u.classes + c]); }
  var sum = 0.0;
  for (var c = 0u; c < u.classes; c++) { sum += exp(logits[gid * u.classes + c] - largest); }
  logSums[gid] = largest + log(sum);`,
    });
    const value = "logSums[i] - logits[i * (arrayLength(&logits) / arrayLength(&logSums)) + u32(labels[i])]";
    return [meanOf(gpu, "CrossEntropy", { logSums, logits, labels }, n, value, { labels: "i32" }), logSums];
  });
  gpu.register("CrossEntropyGrad", ({ logits, labels, logSums, dy }) => {
    const [rows, classes] = logits.shape, dx = gpu.output(logits.shape), n = size(logits.shape);
    gpu.run("CrossEntropyGrad", {
      ...{ read: { logits, labels, logSums, dy }, write: { dx }, types: { labels: "i32" } },
      ...{ sizes: { n, rows, classes }, threads: 64, groups: grid(n, 64) },
      body: `
  if (gid >= u.n) { return; }
  let row = gid / u.classes;
  let p = exp(logits[gid] - logSums[row]);
  let hit = select(0.0, 1.0, u32(labels[row]) == gid % u.classes);
  dx[gid] = (p - hit) * dy[0] / f32(u.rows);`,
    });
    return dx;
  });

  gpu.register("SoftmaxGrad", ({ y, dy }) =>
    perRow(
      gpu,
      "SoftmaxGrad",
      y,
      { y, dy },
      `
  var sum = 0.0;
  for (var c = t; c < u.columns; c += THREADS) { sum += dy[row + c] * y[row + c]; }
  sum = total(sum, t);
  for (var c = t; c < u.columns; c += THREADS) { out[row + c] = y[row + c] * (dy[row + c] - sum); }`,
    ));
  gpu.register("LogSoftmaxGrad", ({ y, dy }) =>
    perRow(
      gpu,
      "LogSoftmaxGrad",
      y,
      { y, dy },
      `
  var sum = 0.0;
  for (var c = t; c < u.columns; c += THREADS) { sum += dy[row + c]; }
  sum = total(sum, t);
  for (var c = t; c < u.columns; c += THREADS) { out[row + c] = dy[row + c] - exp(y[row + c]) * sum; }`,
    ));
}
