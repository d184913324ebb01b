/** Group normalisation with SiLU, and its gradients: a workgroup an image and group. */
import * as ops from "../../ops/mod.ts";
import { type Gpu, size } from "./gpu.ts";
import { sumPairs } from "./reduce.ts";
import { INVERSE_ROOT, NAN_BITS, SIGMOID, workgroupSum } from "./shader.ts";

const THREADS = 128;
/** Element e of the workgroup's group lies at `base + e/per*channels + e%per`. */
const WHERE = `
  let base = id.y * u.pixels * u.channels + id.x * u.per;
  let elements = u.pixels * u.per;
  let count = f32(elements);`;

export function registerGroupNorm(gpu: Gpu): void {
  /** y = (x − mean)·rstd·gamma + beta, then y·sigmoid(y) where asked; mean and rstd of an image's group. */
  ops.registerKernel("webgpu", ops.GroupNorm, ({ x, gamma, beta }, { groups, eps, silu }) => {
    const n = x.shape[0], channels = x.shape.at(-1)!;
    const [y, mean, rstd] = [gpu.output(x.shape), gpu.output([n, groups]), gpu.output([n, groups])];
    gpu.run("GroupNorm", {
      key: [silu],
      read: { x, gamma, beta },
      write: { y, mean, rstd },
      sizes: {
        pixels: size(x.shape) / n / channels,
        channels,
        per: channels / groups,
        groups,
        nan: NAN_BITS,
      },
      floats: { eps },
      groups: [groups, n],
      shader: () => ({
        threads: THREADS,
        declarations: workgroupSum("f32") + SIGMOID + INVERSE_ROOT,
        body: `${WHERE}
  var sum = 0.0;
  for (var e = t; e < elements; e += THREADS) { sum += x[base + e / u.per * u.channels + e % u.per]; }
  let m = total(sum, t) / count;
  sum = 0.0;
  for (var e = t; e < elements; e += THREADS) {
    let d = x[base + e / u.per * u.channels + e % u.per] - m;
    sum += d * (d / count); // a sum of squares may be too large for a float
  }
  let r = inverseRoot(total(sum, t) + u.eps);
  if (t == 0u) {
    mean[id.y * u.groups + id.x] = m;
    rstd[id.y * u.groups + id.x] = r;
  }
  for (var e = t; e < elements; e += THREADS) {
    let at = base + e / u.per * u.channels + e % u.per; let c = id.x * u.per + e % u.per;
    let z = (x[at] - m) * r * gamma[c] + beta[c];
    y[at] = ${silu ? "z * sigmoid(z)" : "z"};
  }`,
      }),
    });
    return { y, mean, rstd };
  });

  /** dx, and from each image's share dgamma and dbeta. */
  ops.registerKernel("webgpu", ops.GroupNormGrad, ({ x, gamma, beta, mean, rstd, dy }, { groups, silu }) => {
    const n = x.shape[0], channels = x.shape.at(-1)!, per = channels / groups;
    const dx = gpu.output(x.shape), parts = gpu.output([n, 2, channels]);
    // A thread stays on one channel: the threads in use are a multiple of the group's channels, where those are fewer.
    const used = per < THREADS ? THREADS - THREADS % per : THREADS;
    gpu.run("GroupNormGrad", {
      key: [silu],
      read: { x, gamma, beta, mean, rstd, dy },
      write: { dx, parts },
      sizes: { pixels: size(x.shape) / n / channels, channels, per, groups, used },
      groups: [groups, n],
      shader: () => ({
        threads: THREADS,
        declarations: `${workgroupSum("vec2f")} ${SIGMOID}
fn through(z: f32) -> f32 {
  let s = sigmoid(z);
  return ${silu ? "s * (1.0 + z * (1.0 - s))" : "1.0"};
}`,
        body: `${WHERE}
  let m = mean[id.y * u.groups + id.x]; let r = rstd[id.y * u.groups + id.x];
  let width = min(u.used, u.per); let lanes = u.used / width;
  var both = vec2f(0.0); // Σ g·gamma, Σ g·gamma·x̂
  for (var first = 0u; first < u.per; first += width) {
    let c = first + t % width; let channel = id.x * u.per + c;
    var share = vec2f(0.0); // Σ g·x̂, Σ g of this thread's channel
    if (t < u.used && c < u.per) {
      for (var p = t / width; p < u.pixels; p += lanes) {
        let at = base + p * u.channels + c;
        let hat = (x[at] - m) * r;
        let g = dy[at] * through(hat * gamma[channel] + beta[channel]);
        share += vec2f(g * hat, g);
      }
      both += share.yx * gamma[channel];
    }
    workgroupBarrier();
    sums[t] = share;
    workgroupBarrier();
    if (t < width && c < u.per) {
      var sum = vec2f(0.0);
      for (var lane = 0u; lane < lanes; lane++) { sum += sums[lane * width + t]; }
      parts[id.y * 2u * u.channels + channel] = sum.x;
      parts[(id.y * 2u + 1u) * u.channels + channel] = sum.y;
    }
  }
  let means = total(both, t) / count;
  for (var e = t; e < elements; e += THREADS) {
    let at = base + e / u.per * u.channels + e % u.per; let c = id.x * u.per + e % u.per;
    let hat = (x[at] - m) * r;
    let g = dy[at] * through(hat * gamma[c] + beta[c]) * gamma[c];
    dx[at] = r * (g - means.x - hat * means.y);
  }`,
      }),
    });
    const [dGamma, dBeta] = sumPairs(gpu, parts);
    gpu.free(parts);
    return { dx, dGamma, dBeta };
  });
}
