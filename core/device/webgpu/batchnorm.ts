/** Batch normalisation over all axes but the last: parts of the rows' statistics, then every element. */
import * as ops from "../../ops/mod.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, size } from "./gpu.ts";
import { sumPairs } from "./reduce.ts";
import { INVERSE_ROOT, NAN_BITS } from "./shader.ts";

/** Channels and threads of a workgroup; the rest are lanes that share its rows. */
const CHANNELS = 16, THREADS = 128, LANES = THREADS / CHANNELS;
/** Parts of the rows at most. */
const MAX_PARTS = 64;

/** Which channel a thread has, and its rows. */
const WHO = `
  let lane = t / ${CHANNELS}u; let c = id.y * ${CHANNELS}u + t % ${CHANNELS}u;
  let first = id.x * u.per; let end = min(u.rows, first + u.per);
  let here = c < u.channels;`;

/** WGSL of `overLanes(v, t)`, Σ v over the threads of a channel. */
const OVER_LANES = `
var<workgroup> lanes: array<vec2f, THREADS>;
fn overLanes(v: vec2f, t: u32) -> vec2f {
  workgroupBarrier();
  lanes[t] = v;
  workgroupBarrier();
  var sum = vec2f(0.0);
  for (var l = 0u; l < ${LANES}u; l++) { sum += lanes[l * ${CHANNELS}u + t % ${CHANNELS}u]; }
  return sum;
}`;

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
  const per = Math.max(LANES * 4, Math.ceil(rows / MAX_PARTS)), count = Math.ceil(rows / per);
  const parts = gpu.output([count, 2, channels]);
  gpu.run(name, {
    read,
    write: { parts },
    sizes: { rows, channels, per },
    groups: [count, Math.ceil(channels / CHANNELS)],
    shader: () => ({
      threads: THREADS,
      declarations: OVER_LANES,
      body: `${WHO}
  var sum = vec2f(0.0);
  ${body}
  if (lane == 0u && here) {
    parts[id.x * 2u * u.channels + c] = sum.x;
    parts[(id.x * 2u + 1u) * u.channels + c] = sum.y;
  }`,
    }),
  });
  return { parts, count, per, rows };
}

/**
 * Mean and Σ (x − mean)²/rows of each part, which add up without loss (Chan et al. 1983); a sum of squares by itself may
 * be too large for a float.
 */
const STATS = `
  for (var r = first + lane; here && r < end; r += ${LANES}u) { sum.x += x[r * u.channels + c]; }
  let mean = overLanes(sum, t).x / f32(end - first);
  sum = vec2f(0.0);
  for (var r = first + lane; here && r < end; r += ${LANES}u) {
    let d = x[r * u.channels + c] - mean;
    sum.y += d * (d / f32(u.rows));
  }
  sum = vec2f(mean, overLanes(sum, t).y);`;

/** Σ dy·x̂ and Σ dy of each part. */
const GRAD_STATS = `
  let m = mean[min(c, u.channels - 1u)]; let s = rstd[min(c, u.channels - 1u)];
  for (var r = first + lane; here && r < end; r += ${LANES}u) {
    let at = r * u.channels + c;
    sum += vec2f(dy[at] * (x[at] - m) * s, dy[at]);
  }
  sum = overLanes(sum, t);`;

export function registerBatchNorm(gpu: Gpu): void {
  /** y = (x − mean)·rstd·gamma + beta, and the batch's mean, biased variance and rstd [C]. */
  ops.registerKernel("webgpu", ops.BatchNorm, ({ x, gamma, beta }, { eps }) => {
    const channels = gamma.shape[0];
    const { parts, count, per, rows } = partsOf(gpu, "BatchNormStats", x, channels, { x }, STATS);
    const [mean, variance, rstd] = [0, 0, 0].map(() => gpu.output([channels]));
    gpu.runEach("BatchNormMerge", channels, {
      read: { parts },
      write: { mean, variance, rstd },
      sizes: { count, per, rows, nan: NAN_BITS },
      floats: { eps },
      shader: () => ({
        declarations: INVERSE_ROOT,
        body: `
  var m = 0.0; var v = 0.0; var done = 0.0;
  for (var p = 0u; p < u.count; p++) {
    let here = f32(min(u.per, u.rows - p * u.per));
    let d = parts[p * 2u * u.n + gid] - m;
    v += parts[(p * 2u + 1u) * u.n + gid] + d * (d * (done / f32(u.rows)) * (here / (done + here)));
    m += d * here / (done + here);
    done += here;
  }
  mean[gid] = m; variance[gid] = v; rstd[gid] = inverseRoot(v + u.eps);`,
      }),
    });
    const y = gpu.output(x.shape);
    gpu.runEach("BatchNorm", size(x.shape), {
      read: { x, gamma, beta, mean, rstd },
      write: { y },
      sizes: { channels },
      shader: () => ({
        body: "let c = gid % u.channels; y[gid] = (x[gid] - mean[c]) * rstd[c] * gamma[c] + beta[c];",
      }),
    });
    gpu.free(parts);
    return { y, mean, variance, rstd };
  });

  ops.registerKernel("webgpu", ops.BatchNormGrad, ({ x, gamma, mean, rstd, dy }) => {
    const channels = gamma.shape[0];
    const read = { x, mean, rstd, dy };
    const { parts, rows } = partsOf(gpu, "BatchNormGradStats", x, channels, read, GRAD_STATS);
    const [dGamma, dBeta] = sumPairs(gpu, parts);
    const dx = gpu.output(x.shape);
    gpu.runEach("BatchNormGrad", size(x.shape), {
      read: { x, gamma, mean, rstd, dy, dGamma, dBeta },
      write: { dx },
      sizes: { channels, rows },
      shader: () => ({
        body: `
  let c = gid % u.channels;
  let hat = (x[gid] - mean[c]) * rstd[c];
  dx[gid] = gamma[c] * rstd[c] * (dy[gid] - (dBeta[c] + hat * dGamma[c]) / f32(u.rows));`,
      }),
    });
    gpu.free(parts);
    return { dx, dGamma, dBeta };
  });

  /** x[…,C]·scale[C] + shift[C]. */
  ops.registerKernel("webgpu", ops.ChannelAffine, ({ x, scale, shift }) => {
    const y = gpu.output(x.shape);
    gpu.runEach("ChannelAffine", size(x.shape), {
      read: { x, scale, shift },
      write: { y },
      sizes: { channels: scale.shape[0] },
      shader: () => ({ body: "let c = gid % u.channels; y[gid] = x[gid] * scale[c] + shift[c];" }),
    });
    return { y };
  });
}
