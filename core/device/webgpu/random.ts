/** Random numbers made on the device: Threefry-2x32 with 20 rounds, as `core/ops/random.ts` defines them. */
import * as ops from "../../ops/mod.ts";
import { ROTATIONS } from "../../ops/random.ts";
import { THREEFRY_PARITY } from "../wasm/assembly/abi.ts";
import { type Gpu, size } from "./gpu.ts";

const rotate = (r: number) => `x0 += x1; x1 = ((x1 << ${r}u) | (x1 >> ${32 - r}u)) ^ x0;`;
const ROUNDS = Array.from({ length: 5 }, (_, g) =>
  [
    ...ROTATIONS[g & 1].map(rotate),
    `x0 += ${["k0", "k1", "k2"][(g + 1) % 3]}; x1 += ${["k0", "k1", "k2"][(g + 2) % 3]} + ${g + 1}u;`,
  ].join("\n")).join("\n");

/**
 * Box–Muller, its angle reduced to an eighth of a turn round the nearest multiple of a right angle: WGSL's sin may be
 * coarse.
 */
const NORMAL = `
  let r = sqrt(max(0.0, -2.0 * log((a + 1.0) * UNIT))); // log(1) may be rounded to above 0
  let q = round(b * 4.0);
  let angle = (b * 4.0 - q) * 1.5707963267948966;
  let s = sin(angle); let c = cos(angle);
  let quarter = u32(q) & 3u;
  a = r * select(select(c, -s, quarter == 1u), select(-c, s, quarter == 3u), quarter >= 2u);
  b = r * select(select(s, c, quarter == 1u), select(-s, -c, quarter == 3u), quarter >= 2u);`;

/** out[2i], out[2i+1] from counter + i: uniform in [0, 1), or a Box–Muller pair. */
export function registerRandom(gpu: Gpu): void {
  ops.registerKernel("webgpu", ops.Random, (_, { shape, key, counter, normal }) => {
    const y = gpu.output(shape), count = size(shape);
    gpu.runEach("Random", Math.ceil(count / 2), {
      key: [normal],
      write: { y },
      sizes: {
        count,
        key0: key[0],
        key1: key[1],
        low: counter >>> 0,
        high: Math.floor(counter / 2 ** 32),
      },
      passing: true,
      shader: () => ({
        body: `
  let k0 = u.key0; let k1 = u.key1; let k2 = k0 ^ k1 ^ ${THREEFRY_PARITY}u;
  var x0 = u.low + gid;
  var x1 = u.high + select(0u, 1u, x0 < gid);
  x0 += k0; x1 += k1;
  ${ROUNDS}
  const UNIT = 5.9604644775390625e-8;
  var a = f32(x0 >> 8u); var b = f32(x1 >> 8u) * UNIT;
  ${normal ? NORMAL : "a *= UNIT;"}
  y[2u * gid] = a;
  if (2u * gid + 1u < u.count) { y[2u * gid + 1u] = b; }`,
      }),
    });
    return { y };
  });
}
