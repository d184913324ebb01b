/** Several tensors of any sizes in one run: each is cut into chunks, a workgroup a chunk. */
import type { TensorInfo } from "../../tf.ts";
import { groupsOf, size } from "./gpu.ts";
import type { Shader } from "./shader.ts";

const THREADS = 64;
/** Elements of a workgroup. */
const CHUNK = THREADS * 4;

/** The sizes that {@link eachChunk} needs (each tensor's elements and first workgroup), and the workgroups. */
export function chunksOf(
  tensors: readonly TensorInfo[],
): { sizes: Record<string, number>; groups: [number, number] } {
  const sizes: Record<string, number> = {};
  let count = 0;
  tensors.forEach(({ shape }, n) => {
    const elements = size(shape);
    sizes[`n${n}`] = elements;
    sizes[`from${n}`] = count;
    count += Math.ceil(elements / CHUNK);
  });
  return { sizes, groups: groupsOf(count) };
}

/** The shader that runs `statements(n)` for each element `i` of the n-th of `count` tensors, after `first`. */
export function eachChunk(count: number, first: string, statements: (n: number) => string): Shader {
  const branches = Array.from({ length: count }, (_, n) => {
    const here = n + 1 < count ? `group < u.from${n + 1}` : "true";
    return `if (${here}) {
    let begin = (group - u.from${n}) * ${CHUNK}u;
    for (var i = begin + t; i < min(begin + ${CHUNK}u, u.n${n}); i += THREADS) {
      ${statements(n)}
    }
  }`;
  });
  return {
    threads: THREADS,
    body: `
  let group = id.y * counts.x + id.x;
  ${first}
  ${branches.join(" else ")}`,
  };
}
