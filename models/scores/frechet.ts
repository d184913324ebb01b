/** The Fréchet distance of two normal distributions (FID; Heusel et al. 2017). */
import type { Matrix } from "npm:ml-matrix@6.15.1";
import type { Moments } from "./moments.ts";

/**
 * |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½), the squared Fréchet distance of normal distributions with these moments (Heusel
 * et al. 2017, eq. 6): FID, where they are of features of images. The trace of the root is that of (Σ₁^½ Σ₂ Σ₁^½)^½, which
 * is symmetric.
 * @throws RangeError if their features have different sizes, or there are fewer than two of one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HostArray, scores } from "../../mod.ts";
 * const [a, b] = [[0, 2], [3, 5]].map((x) => {
 *   const moments = new scores.Moments(1);
 *   moments.add(new HostArray(Float32Array.from(x), [2, 1]));
 *   return moments;
 * });
 * assertEquals(await scores.frechetDistance(a, b), 9); // the means are 3 apart, the variances alike
 * ```
 */
export async function frechetDistance(a: Moments, b: Moments): Promise<number> {
  const { size } = a;
  if (b.size !== size) {
    throw new RangeError(`frechetDistance: features of ${size} and of ${b.size} numbers cannot be compared`);
  }
  const { EigenvalueDecomposition, Matrix } = await import("npm:ml-matrix@6.15.1");
  /** Of a symmetric matrix; rounding may have made a value of 0 a little less. */
  const eigen = (matrix: Matrix) => {
    const found = new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
    return { values: found.realEigenvalues.map((v) => Math.max(v, 0)), vectors: found.eigenvectorMatrix };
  };
  const [Σ1, Σ2] = [a, b].map((m) => Matrix.from1DArray(size, size, m.covariance()));
  const { values, vectors } = eigen(Σ1);
  const root = vectors.clone().mulRowVector(values.map(Math.sqrt)).mmul(vectors.transpose());
  const product = root.mmul(Σ2).mmul(root);
  const symmetric = Matrix.add(product, product.transpose()).mul(0.5);
  const trace = eigen(symmetric).values.reduce((sum, v) => sum + Math.sqrt(v), 0);
  const between = a.mean.reduce((sum, v, i) => sum + (v - b.mean[i]) ** 2, 0);
  return Math.max(between + Σ1.trace() + Σ2.trace() - 2 * trace, 0); // rounding may take a little more
}
