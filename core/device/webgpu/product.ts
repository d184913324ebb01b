/** The tiled matrix product that convolutions and products of matrices are: what they differ in is how they load. */
import type { TensorInfo } from "../../tf.ts";
import type { Gpu } from "./gpu.ts";
import { sumRows } from "./reduce.ts";
import { type Shader, vectorType } from "./shader.ts";

/** Most rows and columns of a workgroup's tile of the output, and steps of the sum between loads. */
const TILE = 64, STEP = 16;
/** The side of a tile over so many rows or columns: no larger than they need. */
const tileSide = (n: number) => n > TILE / 2 ? TILE : n > TILE / 4 ? TILE / 2 : TILE / 4;
/** What `place` gives for a row that is not stored. */
export const NOWHERE = "0xffffffffu";
/** Workgroups that keep a device busy; a product with fewer is split along its sum. */
const BUSY_WORKGROUPS = 96;
/** Least steps of the sum of a part. */
const MIN_PART_STEPS = 256;

/** out[z, m, n] = Σ_k a(z, m, k)·b(z, k, n), then an epilogue. */
export interface Product {
  m: number;
  n: number;
  k: number;
  batch?: number;
  /** The output's shape. */
  shape: number[];
  read: Record<string, TensorInfo | undefined>;
  sizes: Record<string, number>;
  /** What the loads depend on; see `Dispatch`. */
  key: readonly (number | boolean)[];
  /** Which neighbours loadA and loadB give four of: along the sum, or along the output's rows or columns. */
  aAlong: "sum" | "out";
  bAlong: "sum" | "out";
  /** Whether a row of the product may be another of the output's, or none: the loads have `place(z, row) -> u32`. */
  place?: boolean;
  /** Whether a long sum may be split into parts that are added up after; without `place` and epilogue. */
  split?: boolean;
  /** Writes the loads; called when a key is new. */
  loads: () => Loads;
}

/** How a product's operands are found. */
export interface Loads {
  /** Element types of tensors other than f32, and constants of the code. */
  types: Record<string, string>;
  consts?: Record<string, number>;
  /**
   * WGSL: `loadA(at, k) -> vec4f` and `loadB(at, k) -> vec4f`, zeros outside, where `at` is what `atA(z, row) -> vec4u`
   * and `atB(z, column) -> vec4u` found: all that stays the same along the sum, divisions above all.
   */
  code: string;
  /** WGSL expression of what is stored in place of `sum`, of four columns; it knows `at`, `row` and `column`. */
  epilogue?: string;
}

/**
 * WGSL of `fetch_NAME(at, count)`: four neighbours of a buffer from `at` on, zeros from `count` on. Where `four`, the
 * buffer is one of vec4f, and at and count are multiples of 4.
 */
export function fetch(name: string, four: boolean): string {
  const whole = `if (count == 0u) { return vec4f(0.0); } return ${name}[at / 4u];`;
  const single = `
  var v = vec4f(0.0);
  for (var j = 0u; j < min(count, 4u); j++) { v[j] = ${name}[at + j]; }
  return v;`;
  return `fn fetch_${name}(at: u32, count: u32) -> vec4f { ${four ? whole : single} }\n`;
}

/** What a product's epilogue adds to the sum: a bias a column, and a residual of the output's shape, of n columns. */
export function addends(n: number, bias?: TensorInfo, residual?: TensorInfo): Loads {
  const four = n % 4 === 0, types: Record<string, string> = {};
  let code = "", epilogue = "sum";
  if (bias) {
    types.bias = vectorType(four);
    code += fetch("bias", four);
    epilogue += " + fetch_bias(column, u.n - column)";
  }
  if (residual) {
    types.residual = vectorType(four);
    code += fetch("residual", four);
    epilogue += " + fetch_residual(at, u.n - column)";
  }
  return { types, code, epilogue };
}

/** Statements for 0, 1, … */
const repeat = (n: number, statement: (j: number) => string): string =>
  Array.from({ length: n }, (_, j) => statement(j)).join("\n  ");

// The i-th vector that is loaded into a tile of `side` rows or columns: four of them at one step of the sum, or four
// steps of one of them.
const across = (i: string, side: string, out: boolean): string =>
  out ? `${i} % (${side} / 4u) * 4u` : `${i} / (STEP / 4u)`;
const along = (i: string, side: string, out: boolean): string =>
  out ? `${i} / (${side} / 4u)` : `${i} % (STEP / 4u) * 4u`;
/** Puts the i-th vector into its tile, whose rows are steps of the sum. */
function put(tile: string, side: string, i: string, out: boolean, value: string): string {
  const step = along(i, side, out), at = across(i, side, out);
  if (out) return `${tile}[((${step}) * ${side} + ${at}) / 4u] = ${value};`;
  return `{ let v = ${value}; let at = ${step} * ${side} + ${at};
      for (var j = 0u; j < 4u; j++) { ${tile}[at + j * ${side}] = v[j]; } }`;
}

/** WGSL of `NAME(step, i)`: four neighbours of a tile, which lie side by side in it, as one vector where `out`. */
const tileRead = (name: string, tile: string, side: string, out: boolean): string =>
  out
    ? `fn ${name}(step: u32, i: u32) -> vec4f { return vec4f(${tile}[(step * ${side} + i) / 4u]); }`
    : `fn ${name}(step: u32, i: u32) -> vec4f {
  let j = step * ${side} + i;
  return vec4f(vec4(${tile}[j], ${tile}[j + 1u], ${tile}[j + 2u], ${tile}[j + 3u]));
}`;

/** What decides a product's code, the loads apart. */
interface Layout {
  /** Rows and columns of a tile. */
  rows: number;
  columns: number;
  aOut: boolean;
  bOut: boolean;
  /** Whether the output is stored in fours. */
  four: boolean;
  /** Whether operands are rounded to f16. */
  half: boolean;
  place: boolean;
}

/** Runs a product; its operands are rounded to f16 where the device is set to. */
export function runProduct(gpu: Gpu, name: string, p: Product): TensorInfo {
  const { m, n, k, batch = 1, place = false } = p;
  const rows = tileSide(m), columns = tileSide(n);
  const tiles = [Math.ceil(n / columns), Math.ceil(m / rows)];
  const wanted = p.split
    ? Math.min(Math.ceil(k / MIN_PART_STEPS), Math.ceil(BUSY_WORKGROUPS / (tiles[0] * tiles[1] * batch)))
    : 1;
  const per = Math.ceil(k / Math.max(1, wanted) / STEP) * STEP, splits = Math.max(1, Math.ceil(k / per));
  const out = gpu.output(splits === 1 ? p.shape : [splits, batch * m, n]);
  const four = n % 4 === 0, aOut = p.aAlong === "out", bOut = p.bAlong === "out", { half } = gpu;
  gpu.run(name, {
    key: [rows, columns, aOut, bOut, four, half, place, ...p.key],
    read: p.read,
    write: { out },
    sizes: { m, n, k, per, splits, ...p.sizes },
    groups: [tiles[0], tiles[1], batch * splits],
    shader: () => productShader({ rows, columns, aOut, bOut, four, half, place }, p.loads()),
  });
  if (splits === 1) return out;
  const sum = sumRows(gpu, out, [1, splits, m * n], p.shape);
  gpu.free(out);
  return sum;
}

/** The code of all products. */
function productShader({ rows, columns, aOut, bOut, four, half, place }: Layout, loads: Loads): Shader {
  const real = half ? "f16" : "f32";
  // Vectors of four that a thread loads between barriers.
  const loadsA = TILE / columns, loadsB = TILE / rows;
  return {
    threads: rows / 4 * columns / 4,
    types: { ...loads.types, out: vectorType(four) },
    consts: { TR: rows, TC: columns, STEP, ...loads.consts },
    f16: half,
    declarations: `
${loads.code}
var<workgroup> tileA: array<${aOut ? `vec4<${real}>` : real}, ${rows * STEP / (aOut ? 4 : 1)}>;
var<workgroup> tileB: array<${bOut ? `vec4<${real}>` : real}, ${columns * STEP / (bOut ? 4 : 1)}>;
${tileRead("a4", "tileA", "TR", aOut)}
${tileRead("b4", "tileB", "TC", bOut)}
fn store(z: u32, row: u32, column: u32, sum: vec4f) {
  if (row >= u.m || column >= u.n) { return; }
  ${
      place
        ? `let placed = place(z, row);
  if (placed == ${NOWHERE}) { return; }
  let at = placed * u.n + column;`
        : "let at = (z * u.m + row) * u.n + column;"
    }
  let v = ${loads.epilogue ?? "sum"};
  ${four ? "out[at / 4u] = v;" : "for (var j = 0u; j < min(4u, u.n - column); j++) { out[at + j] = v[j]; }"}
}`,
    body: `
  let z = id.z / u.splits;
  let row0 = id.y * TR; let column0 = id.x * TC;
  let row = t / (TC / 4u) * 4u; let column = t % (TC / 4u) * 4u;
  var c0 = vec4f(0.0); var c1 = vec4f(0.0); var c2 = vec4f(0.0); var c3 = vec4f(0.0);
  ${
      repeat(loadsA, (j) =>
        `let ia${j} = t + ${j}u * THREADS; let a${j} = atA(z, row0 + ${across("ia" + j, "TR", aOut)});`)
    }
  ${
      repeat(loadsB, (j) =>
        `let ib${j} = t + ${j}u * THREADS; let b${j} = atB(z, column0 + ${across("ib" + j, "TC", bOut)});`)
    }
  let end = min(u.k, (id.z % u.splits + 1u) * u.per);
  for (var k0 = id.z % u.splits * u.per; k0 < end; k0 += STEP) {
    ${
      repeat(loadsA, (j) => {
        const value = `loadA(a${j}, k0 + ${along("ia" + j, "TR", aOut)})`;
        return put("tileA", "TR", `ia${j}`, aOut, `vec4<${real}>(${value})`);
      })
    }
    ${
      repeat(loadsB, (j) => {
        const value = `loadB(b${j}, k0 + ${along("ib" + j, "TC", bOut)})`;
        return put("tileB", "TC", `ib${j}`, bOut, `vec4<${real}>(${value})`);
      })
    }
    workgroupBarrier();
    for (var s = 0u; s < STEP; s++) {
      let a = a4(s, row); let b = b4(s, column);
      c0 = fma(vec4f(a.x), b, c0);
      c1 = fma(vec4f(a.y), b, c1);
      c2 = fma(vec4f(a.z), b, c2);
      c3 = fma(vec4f(a.w), b, c3);
    }
    workgroupBarrier();
  }
  let to = select(id.z % u.splits, z, u.splits == 1u);
  store(to, row0 + row, column0 + column, c0);
  store(to, row0 + row + 1u, column0 + column, c1);
  store(to, row0 + row + 2u, column0 + column, c2);
  store(to, row0 + row + 3u, column0 + column, c3);`,
  };
}
