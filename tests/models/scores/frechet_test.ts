/** The Fréchet distance beside SciPy's square root of a matrix, and distances that are known. */
import { assert, assertRejects } from "@std/assert";
import { Generator, HostArray, scores } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";
import { assertNear, golden } from "./golden.ts";

const { frechetDistance, Moments } = scores;

function momentsOf(features: HostArray): scores.Moments {
  const moments = new Moments(features.shape[1]);
  moments.add(features);
  return moments;
}

/** Moments with a mean and a covariance to the digit: count, mean and products are all that they are. */
function exact(mean: number[], covariance: number[][]): scores.Moments {
  return Moments.from(Float64Array.from([2, ...mean, ...covariance.flat()]));
}

const diagonal = (values: number[]) => values.map((v, i) => values.map((_, j) => i === j ? v : 0));

Deno.test("it is SciPy's, both ways", wasmOnly, async () => {
  for (const { name, real, samples, fid } of golden) {
    const [a, b] = [real, samples].map(momentsOf);
    assertNear(await frechetDistance(a, b), fid, 1e-9, name);
    assertNear(await frechetDistance(b, a), fid, 1e-9, name);
  }
});

Deno.test("of known normal distributions it is the closed form", wasmOnly, async () => {
  // |μ₁ − μ₂|² + Σ (σ₁ − σ₂)² where the covariances are diagonal.
  const a = exact([0, 1, -2], diagonal([4, 9, 0])), b = exact([3, 1, 2], diagonal([1, 25, 16]));
  assertNear(await frechetDistance(a, b), 9 + 16 + 1 + 4 + 16, 1e-12);
  // Turned by any angle they are as far apart.
  const turned = (θ: number, [x, y]: number[], [s, t]: number[]) => {
    const [c, d] = [Math.cos(θ), Math.sin(θ)];
    const covariance = [[c * c * s + d * d * t, c * d * (s - t)], [c * d * (s - t), d * d * s + c * c * t]];
    return exact([c * x - d * y, d * x + c * y], covariance);
  };
  const [p, q] = [[[1, 2], [3, 5]], [[2, 0], [7, 1]]];
  const apart = await frechetDistance(turned(0, p[0], p[1]), turned(0, q[0], q[1]));
  assertNear(await frechetDistance(turned(1, p[0], p[1]), turned(1, q[0], q[1])), apart, 1e-12);
  // Correlated ones of 2×2: tr of the root is √(tr + 2√det) of the product.
  const Σ = [[2, 1], [1, 3]], T = [[5, -2], [-2, 4]];
  const trace = 2 * 5 - 2 - 2 + 3 * 4, det = (2 * 3 - 1) * (5 * 4 - 4);
  const expected = 2 + 3 + 5 + 4 - 2 * Math.sqrt(trace + 2 * Math.sqrt(det));
  assertNear(await frechetDistance(exact([0, 0], Σ), exact([0, 0], T)), expected, 1e-12);
});

Deno.test("of a distribution with itself it is 0, of fewer features than numbers too", wasmOnly, async () => {
  const few = momentsOf(await HostArray.from(new Generator(3).normal([20, 64])));
  const distance = await frechetDistance(few, few);
  assert(distance < 1e-5, `${distance}`);
});

Deno.test("features of other sizes, or of one image, have no distance", wasmOnly, async () => {
  const two = momentsOf(new HostArray(new Float32Array(4), [2, 2]));
  await assertRejects(() => frechetDistance(two, new Moments(3)), RangeError, "2 and of 3 numbers");
  await assertRejects(
    () => frechetDistance(two, new Moments(2)),
    RangeError,
    "at least 2 features, not of 0",
  );
});
