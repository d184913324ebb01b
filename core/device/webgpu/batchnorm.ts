/** Batch normalisation over all axes but the last: parts of the rows' statistics, then every element. */
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, grid, size } from "./gpu.ts";

/** Channels and threads of a workgroup; the rest are lanes that share its rows. */
const CHANNELS = 16, THREADS = 128, LANES = THREADS / CHANNELS;
/** Parts of the rows at most. */
const PARTS = 64;

/** Which channel a thread has, and its rows. */
const WHO = `
  let lane = t / ${CHANNELS}u; let c = id.y * ${CHANNELS}u + t % ${CHANNELS}u;
  let first = id.x * u.per; let end = min(u.rows, first + u.per);
  let here = c < u.channels;`;

/** Runs a kernel that leaves two numbers a part and channel, parts [P,2,C]. */
function partsOf(
  gpu: Gpu,
  name: string,
  x: TensorInfo,
  channels: number,
  read: Record<string, TensorInfo>,
  body: string,
): { parts: TensorInfo; count: number; per: number; rows: number } {
  const rows = size(x.shape) / channels;
  const per = Math.max(LANES * 4, Math.ceil(rows / PARTS)), count = Math.ceil(rows / per);
  const parts = gpu.output([count, 2, channels]);
  gpu.run(name, {
    ...{
      read: { x, ...read },
      write: { parts },
      threads: THREADS,
      groups: [count, Math.ceil(channels / CHANNELS)],
    },
    sizes: { rows, channels, per },
    declarations: `
var<workgroup> lanes: array<vec2f, THREADS>;
/** Σ over the threads of a channel. */
fn overLanes(v: vec2f, t: u32) -> vec2f {
  workgroupBarrier();
  lanes[t] = v;
  workgroupBarrier();
  var sum = vec2f(0.0);
  for (var l = 0u; l < ${LANES}u; l++) { sum += lanes[l * ${CHANNELS}u + t % ${CHANNELS}u]; }
  return sum;
}`,
    body: `${WHO}
  var sum = vec2f(0.0);
  ${body}
  if (lane == 0u && here) {
    parts[id.x * 2u * u.channels + c] = sum.x;
    parts[(id.x * 2u + 1u) * u.channels + c] = sum.y;
  }`,
  });
  return { parts, count, per, rows };
}

export function registerBatchNorm(gpu: Gpu): void {
  /** y = (x − mean)·rstd·gamma + beta, and the batch's mean, biased variance and rstd [C]. */
  gpu.register("BatchNorm", ({ x, gamma, beta }, { eps }) => {
    const channels = gamma.shape[0], n = size(x.shape);
    // Mean and Σ (x − mean)² of each part, which add up without loss (Chan et al. 1983).
    const { parts, count, per, rows } = partsOf(
      gpu,
      "BatchNormStats",
      x,
      channels,
      {},
      `
  for (var r = first + lane; here && r < end; r += ${LANES}u) { sum.x += x[r * u.channels + c]; }
  let mean = overLanes(sum, t).x / f32(end - first);
  sum = vec2f(0.0);
  for (var r = first + lane; here && r < end; r += ${LANES}u) {
    let d = x[r * u.channels + c] - mean;
    sum.y += d * d;
  }
  sum = vec2f(mean, overLanes(sum, t).y);`,
    );
    const [mean, variance, rstd] = [0, 0, 0].map(() => gpu.output([channels]));
    gpu.run("BatchNormMerge", {
      ...{
        read: { parts },
        write: { mean, variance, rstd },
        threads: 64,
        groups: [Math.ceil(channels / 64)],
      },
      ...{ sizes: { channels, count, per, rows }, floats: { eps } },
      body: `
  if (gid >= u.channels) { return; }
  var m = 0.0; var squares = 0.0; var done = 0.0;
  for (var p = 0u; p < u.count; p++) {
    let here = f32(min(u.per, u.rows - p * u.per));
    let d = parts[p * 2u * u.channels + gid] - m;
    squares += parts[(p * 2u + 1u) * u.channels + gid] + d * d * done * here / (done + here);
    m += d * here / (done + here);
    done += here;
  }
  let v = squares / f32(u.rows);
  mean[gid] = m; variance[gid] = v; rstd[gid] = inverseSqrt(v + u.eps);`,
    });
    const y = gpu.output(x.shape);
    gpu.run("BatchNorm", {
      ...{
        read: { x, gamma, beta, mean, rstd },
        write: { y },
        sizes: { n, channels },
        threads: 64,
        groups: grid(n, 64),
      },
      body: `
  let c = gid % u.channels;
  if (gid < u.n) { y[gid] = (x[gid] - mean[c]) * rstd[c] * gamma[c] + beta[c]; }`,
    });
    gpu.free(parts);
    return [y, mean, variance, rstd];
  });

  gpu.register("BatchNormGrad", ({ x, gamma, mean, rstd, dy }) => {
    const channels = gamma.shape[0], n = size(x.shape);
    const { parts, count, rows } = partsOf(
      gpu,
      "BatchNormGradStats",
      x,
      channels,
      { mean, rstd, dy },
      `
  let m = mean[min(c, u.channels - 1u)]; let s = rstd[min(c, u.channels - 1u)];
  for (var r = first + lane; here && r < end; r += ${LANES}u) {
    let at = r * u.channels + c;
    sum += vec2f(dy[at] * (x[at] - m) * s, dy[at]);
  }
  sum = overLanes(sum, t);`,
    );
    const [dGamma, dBeta] = [gpu.output([channels]), gpu.output([channels])];
    gpu.run("BatchNormGradMerge", {
      ...{ read: { parts }, write: { dGamma, dBeta }, threads: 64, groups: [Math.ceil(channels / 64)] },
      sizes: { channels, count },
      body: `
  if (gid >= u.channels) { return; }
  var a = 0.0; var b = 0.0;
  for (var p = 0u; p < u.count; p++) {
    a += parts[p * 2u * u.channels + gid];
    b += parts[(p * 2u + 1u) * u.channels + gid];
  }
  dGamma[gid] = a; dBeta[gid] = b;`,
    });
    const dx = gpu.output(x.shape);
    gpu.run("BatchNormGrad", {
      read: { x, gamma, mean, rstd, dy, dGamma, dBeta },
      ...{ write: { dx }, sizes: { n, channels, rows }, threads: 64, groups: grid(n, 64) },
      body: `
  let c = gid % u.channels;
  if (gid < u.n) {
    let hat = (x[gid] - mean[c]) * rstd[c];
    dx[gid] = gamma[c] * rstd[c] * (dy[gid] - (dBeta[c] + hat * dGamma[c]) / f32(u.rows));
  }`,
    });
    gpu.free(parts);
    return [dx, dGamma, dBeta];
  });
}
