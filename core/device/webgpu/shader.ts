/** From a kernel's WGSL to a pipeline, once for each key. */
import type { TensorInfo } from "../../tf.ts";
import type { Trial, Trials } from "./trials.ts";

/** A kernel's code and what is compiled into it. */
export interface Shader {
  /** Threads of a workgroup. */
  threads: number;
  /** Element types of tensors other than f32. */
  types?: Record<string, string>;
  /** Compile-time constants, u32. */
  consts?: Record<string, number>;
  /** Whether the code uses f16. */
  f16?: boolean;
  /** What stands before the entry point. */
  declarations?: string;
  /** The entry point's body; it knows `id` (workgroup), `t` (thread) and `gid` (thread in a grid of one dimension). */
  body: string;
}

/** One run of a kernel. */
export interface Dispatch {
  /**
   * What the shader depends on, the kernel's name apart: constants, element types, threads, f16, and which of the
   * optional tensors are there. Runs of one kernel with equal keys share a pipeline.
   */
  key?: readonly (string | number | boolean)[];
  /** Tensors that the code reads, by the names that it knows them by; those that are undefined are not bound. */
  read?: Record<string, TensorInfo | undefined>;
  /** Tensors that the code writes (and may read). */
  write: Record<string, TensorInfo>;
  /** Whole numbers that the code finds as `u.name`, u32. */
  sizes?: Record<string, number>;
  /** Numbers that the code finds as `u.name`, f32. */
  floats?: Record<string, number>;
  /** Whether sizes and floats change from step to step, so that keeping them on the device would be a waste. */
  passing?: boolean;
  /** Workgroups. */
  groups: [x: number, y?: number, z?: number];
  /** Writes the code; called when a key is new. */
  shader: () => Shader;
}

/** A compiled kernel. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly code: string;
  /** Whether the device takes it. */
  readonly trial: Trial;
}

/** The pipelines that a device has compiled. */
export class Pipelines {
  readonly #byKey = new Map<string, Pipeline>();

  /**
   * @param trials Where each new kernel is on trial.
   * @param debug Whether the code of every run is written anew and compared with that of its pipeline.
   */
  constructor(
    readonly device: GPUDevice,
    readonly trials: Trials,
    public debug = false,
  ) {}

  /** How many there are. */
  get size(): number {
    return this.#byKey.size;
  }

  /**
   * A run's pipeline, compiled if its key is new.
   * @throws Error in debug mode, if the run's code is not that of the pipeline with its key.
   */
  get(kernel: string, dispatch: Dispatch): Pipeline {
    const key = dispatch.key ? `${kernel} ${dispatch.key.join()}` : kernel;
    const known = this.#byKey.get(key);
    if (known) {
      if (this.debug) requireSame(key, known.code, writeCode(dispatch));
      return known;
    }
    const made = this.#compile(kernel, writeCode(dispatch));
    this.#byKey.set(key, made);
    made.trial.settle().then(() => {
      if (made.trial.error) this.#byKey.delete(key); // so that it is tried again
    });
    return made;
  }

  #compile(kernel: string, code: string): Pipeline {
    const trial = this.trials.begin(`The WebGPU device refused the kernel ${kernel}`);
    return trial.watch(this.device, () => {
      const pipeline = this.device.createComputePipeline({
        label: kernel,
        layout: "auto",
        compute: {
          module: this.device.createShaderModule({ code, label: kernel }),
          entryPoint: "main",
        },
      });
      return { pipeline, layout: pipeline.getBindGroupLayout(0), code, trial };
    });
  }
}

/** @throws Error naming the first line in which two codes of one key differ. */
function requireSame(key: string, known: string, now: string): void {
  if (known === now) return;
  const [a, b] = [known.split("\n"), now.split("\n")];
  const line = a.findIndex((text, i) => text !== b[i]);
  throw new Error(
    `Two shaders have the key "${key}"; it lacks what this line depends on: "${a[line]}", now "${b[line]}"`,
  );
}

/** The names of the tensors that are there. */
const bound = (tensors: Record<string, TensorInfo | undefined> = {}): string[] =>
  Object.keys(tensors).filter((name) => tensors[name]);

/** A run's WGSL: bindings in the order read, write, sizes; then the shader's own code. */
function writeCode({ read, write, sizes = {}, floats = {}, shader }: Dispatch): string {
  const { threads, types = {}, consts = {}, f16, declarations = "", body } = shader();
  const inputs = bound(read), tensors = [...inputs, ...bound(write)];
  const fields = [
    ...Object.keys(sizes).map((name) => `${name}: u32,`),
    ...Object.keys(floats).map((name) => `${name}: f32,`),
  ];
  return `
${f16 ? "enable f16;" : ""}
${
    tensors.map((name, i) => {
      const access = i < inputs.length ? "read" : "read_write";
      return `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${types[name] ?? "f32"}>;`;
    }).join("\n")
  }
${
    fields.length
      ? `struct Sizes { ${fields.join(" ")} }
@group(0) @binding(${tensors.length}) var<uniform> u: Sizes;`
      : ""
  }
${Object.entries(consts).map(([name, value]) => `const ${name} = ${value}u;`).join("\n")}
const THREADS = ${threads}u;
${declarations}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) t: u32,
        @builtin(num_workgroups) counts: vec3u) {
  let gid = (id.y * counts.x + id.x) * THREADS + t;
  ${body}
}`;
}

/** WGSL of a sum over a workgroup's threads: `total(value, t)` gives each of them Σ value. `type` may be a vector. */
export const workgroupSum = (type: string): string => `
var<workgroup> sums: array<${type}, THREADS>;
fn total(value: ${type}, t: u32) -> ${type} {
  workgroupBarrier();
  sums[t] = value;
  for (var width = THREADS / 2u; width > 0u; width /= 2u) {
    workgroupBarrier();
    if (t < width) { sums[t] += sums[t + width]; }
  }
  workgroupBarrier();
  return sums[0];
}`;

/** WGSL of `sigmoid(x)`. */
export const SIGMOID = "fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-x)); }";

/** WGSL of `isNan(x)`, by the bits: a shader compiler may take it that there is no NaN. */
export const IS_NAN = "fn isNan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }";
/** The bits of NaN, which WGSL has no constant for: they come with the sizes. */
export const NAN_BITS = 0x7fc00000;

/**
 * WGSL of `inverseRoot(v)`, 1/√v of a variance and what is added to it: NaN where it is more than a float holds, which would
 * make zeros of all. `u.nan` is {@link NAN_BITS}.
 */
export const INVERSE_ROOT = `
fn inverseRoot(v: f32) -> f32 {
  return select(inverseSqrt(v), bitcast<f32>(u.nan), (bitcast<u32>(v) & 0x7fffffffu) >= 0x7f800000u);
}`;

/** WGSL's type of an operand that is read in fours, or one by one. */
export const vectorType = (four: boolean): string => four ? "vec4f" : "f32";
