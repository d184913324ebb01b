/**
 * What an operation of ours is: its types and checks, a reference body in plain tfjs ops, and a gradient rule. Kernels
 * of a device are speed: an op that a device has none for runs its reference.
 */
import { runKernel, tf } from "../tf.ts";
import type { Tensor, TensorInfo } from "../tf.ts";

/** No inputs, no attributes, or no outputs. */
export type None = Record<string, never>;

/** The names K in any order, each once. */
export type InOrder<K extends string, First extends K = K> = string extends K ? readonly string[]
  : [K] extends [never] ? readonly []
  : First extends K ? readonly [First, ...InOrder<Exclude<K, First>>]
  : never;

/**
 * One of our own operations, of inputs I, attributes A and outputs O: I and O name tensors, those of I may be
 * optional.
 */
export interface Op<I, A, O> {
  /** Its name in tfjs's registries, and in errors. */
  readonly name: string;
  /** The names of all its outputs, in the order in which kernels give them to tfjs. */
  readonly outputs: readonly (keyof O & string)[] & InOrder<keyof O & string>;
  /**
   * Runs once, before any kernel, on every device.
   * @throws TypeError for a dtype, RangeError for an attribute, Error for ranks and sizes that do not fit.
   */
  check(inputs: I, attrs: A): void;
  /** The definition, in tfjs's ops; a device without a kernel runs it. */
  reference(inputs: I, attrs: A): O;
  /** Null where nothing flows through: random numbers, steps in place, gradients themselves. */
  readonly gradient: Gradient<I, A, O> | null;
}

/** How the gradient flows back through an op; made by {@link gradient}. Only the first output carries one. */
export interface Gradient<I, A, O, Saved extends keyof (I & O) = never> {
  /** Inputs and outputs that the tape keeps for the rule. */
  readonly saves: readonly string[];
  /**
   * The gradients of the inputs, each computed when it is asked for; null for an input without one.
   * @param dy the gradient of the first output
   * @param saved what {@link saves} names, and nothing else
   * @param shapes the shapes of the inputs that were given
   */
  rule(
    dy: Tensor,
    saved: Pick<I & O, Saved>,
    attrs: A,
    shapes: { readonly [K in keyof I]: number[] },
  ): { readonly [K in keyof I]-?: (() => Tensor) | null };
}

/**
 * A gradient whose rule can read only what it saves.
 * @param saves names of inputs and outputs that the tape keeps for the rule
 * @param rule gives the gradients of the inputs, see {@link Gradient}
 */
export function gradient<I, A, O, Saved extends keyof (I & O) & string = never>(
  saves: readonly Saved[],
  rule: Gradient<I, A, O, Saved>["rule"],
): Gradient<I, A, O> {
  return { saves, rule };
}

/** Tensors as kernels see them. */
export type Infos<T> = { readonly [K in keyof T]: TensorInfo };

/** A device's fast body of an op. What it is given has passed the op's check. */
export type Kernel<I, A, O> = (inputs: Infos<I>, attrs: A) => Infos<O>;

/** The devices' names in tfjs's registry. */
export type Backend = "wasm" | "webgpu";
const BACKENDS: Backend[] = ["wasm", "webgpu"];

type KernelConfig = Parameters<typeof tf.registerKernel>[0];
type KernelFunc = KernelConfig["kernelFunc"];
// deno-lint-ignore no-explicit-any
type Any = any;
/** An op of any types, for lists. */
// deno-lint-ignore no-explicit-any
export type AnyOp = Op<any, any, any>;

/** A kernel under one of tfjs's own names. */
// deno-lint-ignore no-explicit-any
export type PlainKernel = (inputs: Record<string, TensorInfo>, attrs: any) => TensorInfo | TensorInfo[];

/**
 * Checks the inputs, and runs the device's kernel of an op or its reference; recorded where a tape is on.
 * @throws what the op's check throws
 */
export function run<I, A, O>(op: Op<I, A, O>, inputs: NoInfer<I>, attrs: NoInfer<A>): O {
  op.check(inputs, attrs);
  const outputs = runKernel<Tensor | Tensor[]>(op.name, inputs as Any, attrs as Any);
  const list = Array.isArray(outputs) ? outputs : [outputs];
  return Object.fromEntries(op.outputs.map((name, i) => [name, list[i]])) as O;
}

/** What stands again once a device is closed, by name: the kernels that its own replaced, undefined where none was. */
const replaced: Record<Backend, Map<string, KernelConfig | undefined>> = {
  wasm: new Map(),
  webgpu: new Map(),
};

function setKernel(config: KernelConfig): void {
  const { kernelName, backendName } = config, old = tf.getKernel(kernelName, backendName);
  const before = replaced[backendName as Backend];
  if (!before.has(kernelName)) before.set(kernelName, old);
  if (old) tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel(config);
}

/** Takes the kernels that are there for those to come back to with {@link restoreKernels}. */
export function rememberKernels(backend: Backend): void {
  replaced[backend].clear();
}

/** Puts back the kernels that were replaced since {@link rememberKernels}: the new ones compute in a device that ends. */
export function restoreKernels(backend: Backend): void {
  for (const [name, old] of replaced[backend]) {
    if (tf.getKernel(name, backend)) tf.unregisterKernel(name, backend);
    if (old) tf.registerKernel(old);
  }
  replaced[backend].clear();
}

/** Registers a device's kernel of an op, in place of one that is there; until the device is closed. */
export function registerKernel<I, A, O>(backend: Backend, op: Op<I, A, O>, kernel: Kernel<I, A, O>): void {
  setKernel({
    kernelName: op.name,
    backendName: backend,
    kernelFunc: ({ inputs, attrs }) => {
      const outputs = kernel(inputs as Infos<I>, attrs as A);
      return op.outputs.map((name) => outputs[name]);
    },
  });
}

/**
 * Registers a kernel under one of tfjs's own names, such as "Conv2D", until the device is closed.
 * @param make gives it, from the one of that name that was there, which throws if there was none
 */
export function replaceKernel(
  backend: Backend,
  name: string,
  make: (original: PlainKernel) => PlainKernel,
): void {
  const old = tf.getKernel(name, backend);
  const original: PlainKernel = (inputs, attrs) => {
    if (!old) throw new Error(`${name}: tfjs has no kernel for these inputs on ${backend}`);
    return old.kernelFunc({ inputs, attrs, backend: tf.backend() } as Any) as TensorInfo | TensorInfo[];
  };
  const kernel = make(original);
  setKernel({
    ...old, // with its setup, which tfjs calls when the device starts
    kernelName: name,
    backendName: backend,
    kernelFunc: ({ inputs, attrs }) => kernel(inputs as Record<string, TensorInfo>, attrs),
  });
}

/** What runs by reference, among the kernels of tfjs's registry. */
const references = new WeakSet<KernelFunc>();

/**
 * Makes an op run on every device, by its reference, and its gradient flow; in place of an op of that name.
 * {@link registerKernel} makes it fast afterwards.
 *
 * @example An op that trains
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { F, grad, ops, Parameter, SGD, type Tensor, tf, useDevice } from "../../mod.ts";
 *
 * const Cube: ops.Op<{ x: Tensor }, { scale: number }, { y: Tensor }> = {
 *   name: "Cube",
 *   outputs: ["y"],
 *   check({ x }) {
 *     if (x.dtype !== "float32") throw new TypeError(`Cube: x is float32, not ${x.dtype}`);
 *   },
 *   reference: ({ x }, { scale }) => ({ y: tf.mul(tf.pow(x, 3), scale) }),
 *   gradient: ops.gradient(["x"], (dy, { x }, { scale }) => ({
 *     x: () => tf.mul(dy, tf.mul(tf.square(x), 3 * scale)),
 *   })),
 * };
 * ops.register(Cube);
 *
 * await useDevice("wasm", { log: null });
 * const cube = (x: Tensor) => ops.run(Cube, { x }, { scale: 2 }).y;
 * const x = new Parameter(tf.tensor([1.5])), optimizer = new SGD([x], { lr: 5e-4 });
 * for (let step = 0; step < 50; step++) {
 *   const [dx] = grad((x) => F.mseLoss(cube(x), tf.tensor([16])), [x]);
 *   x.setGrad(dx);
 *   optimizer.step();
 * }
 * assertAlmostEquals((await x.data())[0], 2, 1e-4);
 * ```
 */
export function register(op: AnyOp): void {
  for (const backend of BACKENDS) {
    registerKernel(backend, op, (inputs, attrs) => tf.tidy(() => op.reference(inputs, attrs)));
    references.add(tf.getKernel(op.name, backend).kernelFunc);
    replaced[backend].delete(op.name);
  }
  if (tf.getGradient(op.name)) tf.unregisterGradient(op.name);
  if (op.gradient) registerGradient(op, op.gradient);
}

/** The names of the ops that a device runs by their reference. */
export function opsByReference(backend: Backend): string[] {
  const kernels = tf.getKernelsForBackend(backend);
  return kernels.filter(({ kernelFunc }) => references.has(kernelFunc)).map(({ kernelName }) => kernelName);
}

/** Tells tfjs's engine what to keep of an op's run, and our tape its rule. */
function registerGradient(op: AnyOp, { saves, rule }: Gradient<Any, Any, Any>): void {
  const kept = saves.filter((name) => !op.outputs.includes(name));
  const keptOutputs = op.outputs.filter((name) => saves.includes(name));
  tf.registerGradient({
    kernelName: op.name,
    inputsToSave: kept,
    outputsToSave: op.outputs.map((name) => keptOutputs.includes(name)),
    gradFunc: ((dys: Tensor | Tensor[], tensors: Tensor[], attrs: Any, given: Record<string, Tensor>) => {
      const [dy, ...others] = Array.isArray(dys) ? dys : [dys];
      const at = others.findIndex(Boolean) + 1;
      if (at > 0) {
        throw new Error(`${op.name}: no gradient flows through its output "${op.outputs[at]}"`);
      }
      const saved = Object.fromEntries([...kept, ...keptOutputs].map((name, i) => [name, tensors[i]]));
      const shapes = Object.fromEntries(Object.entries(given).map(([name, x]) => [name, x.shape]));
      return rule(dy, saved, attrs, shapes);
    }) as Any,
  });
}

/** The gradients of several inputs from one computation, which runs when the first is asked for. */
export function together<O>(compute: () => O): (name: keyof O) => () => O[keyof O] {
  let results: O | undefined;
  return (name) => () => (results ??= compute())[name];
}
