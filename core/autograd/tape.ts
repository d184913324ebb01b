/** Records the kernels that gradients must flow back through, and walks them in reverse. */
import { constant } from "../device/constants.ts";
import { engine, runKernel, tf } from "../tf.ts";
import type { NamedTensors, Tensor } from "../tf.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/**
 * The gradient of a kernel: from the gradients of its outputs (undefined where none flowed), thunks for those of its
 * inputs. `given` are the forward inputs, possibly freed: for their shapes alone.
 */
type GradFunc = (
  dy: Tensor | (Tensor | undefined)[] | undefined,
  saved: Tensor[],
  attrs: Any,
  given: NamedTensors,
) => Record<string, (() => Tensor) | null>;

/** A recorded kernel. */
interface TapeNode {
  kernelName: string;
  inputs: NamedTensors;
  outputs: Tensor[];
  saved: Tensor[];
  attrs: unknown;
  gradient?: GradFunc;
}

/** tfjs's engine calls this after each kernel while a tape is on: ours, or one of `tf.grad` and its kind. */
engine.addTapeNode = (
  kernelName: string,
  inputs: NamedTensors,
  outputs: Tensor[],
  custom: GradFunc | null,
  saved: Tensor[],
  attrs: unknown,
) => {
  const gradient = (tf.getGradient(kernelName)?.gradFunc as GradFunc | undefined) ?? custom ?? undefined;
  const { activeTape } = engine.state;
  if (typeof activeTape.record === "function") { // a Tape, maybe of another copy of this library
    activeTape.record({ kernelName, inputs, outputs, saved, attrs, gradient });
    return;
  }
  activeTape.push({
    id: engine.state.nextTapeNodeId++,
    kernelName,
    inputs,
    outputs,
    saved,
    gradient: gradient &&
      ((dys: (Tensor | undefined)[]) => gradient(dys.length > 1 ? dys : dys[0], saved, attrs, inputs)),
  });
};

/** As the engine's own, without a second record of the copy, which needs a scope to be open. */
engine.clone = (x: Tensor): Tensor => runKernel("Identity", { x });

/** A tensor to take over: itself, or a copy where its memory is also another's, since steps are in place. */
function ownMemory(value: Tensor): Tensor {
  if (!(value instanceof tf.Variable) && engine.backend.refCount(value.dataId) === 1) return value;
  const own = copyOf(value);
  if (!(value instanceof tf.Variable)) value.dispose();
  return own;
}

/**
 * A tensor that training changes. Behaves as a tensor in every op; `grad` holds what the backward pass added up.
 */
export class Parameter extends tf.Variable {
  /** d(loss)/d(this), summed over the backward passes since it was last cleared; null after {@link zeroGrad}. */
  grad: Tensor | null = null;
  /** Whether gradients are kept for it. */
  requiresGrad = true;

  /**
   * Begins with a value and no gradient.
   * @param value float32 of any shape; the parameter takes it over, and the caller no longer owns it
   */
  constructor(value: Tensor) {
    const own = ownMemory(value);
    super(own, true, `parameter${engine.nextVariableId()}`, engine.nextTensorId());
    engine.incRef(this, engine.backend);
    own.dispose();
  }

  /**
   * Replaces the value; the old one is freed.
   * @param value of the same shape; the parameter takes it over, and the caller no longer owns it. Another parameter
   *   is copied and stays as it is.
   * @throws Error for another shape or dtype.
   */
  override assign(value: Tensor): void {
    if (value.dtype !== this.dtype || !tf.util.arraysEqual(value.shape, this.shape)) {
      throw new Error(
        `Parameter.assign: the value is ${value.dtype} [${value.shape}], the parameter ${this.dtype} [${this.shape}]`,
      );
    }
    const own = ownMemory(value);
    super.assign(own);
    own.dispose();
  }

  /** Frees the gradient. */
  zeroGrad(): void {
    this.grad?.dispose();
    this.grad = null;
  }

  /**
   * Replaces the gradient; the old one is freed, the new one kept.
   * @throws Error for another shape than the parameter's.
   */
  setGrad(grad: Tensor): void {
    if (!tf.util.arraysEqual(grad.shape, this.shape)) {
      throw new Error(
        `Parameter.setGrad: the gradient has shape [${grad.shape}], the parameter [${this.shape}]`,
      );
    }
    const kept = tf.keep(grad);
    if (this.grad !== grad) this.grad?.dispose();
    this.grad = kept;
  }

  /** Multiplies the gradient, if there is one. */
  scaleGrad(factor: number | Tensor): void {
    if (this.grad) noGrad(() => this.setGrad(tf.tidy(() => tf.mul(this.grad!, factor))));
  }

  /** Frees the parameter and its gradient. */
  override dispose(): void {
    this.zeroGrad();
    super.dispose();
  }
}

/**
 * The kernels run between {@link start} and {@link stop} whose result depends on a parameter, in order. Everything
 * else is forgotten at once, its saved tensors freed.
 */
export class Tape {
  #nodes: TapeNode[] = [];
  /** Tensors that gradients flow to, by id; parameters by themselves. */
  #tracked = new Set<number>();
  #outer: unknown;

  /** Begins recording (again). */
  start(): void {
    if (engine.state.activeTape === this) throw new Error("The tape is recording already");
    this.#outer = engine.state.activeTape;
    engine.state.activeTape = this;
    engine.state.gradientDepth++;
  }

  /** Ends recording; what was recorded stays for {@link backward}. */
  stop(): void {
    if (engine.state.activeTape !== this) return;
    engine.state.activeTape = this.#outer;
    engine.state.gradientDepth--;
  }

  /** Follows a tensor that is no parameter, so that `backward` returns its gradient. */
  watch(x: Tensor): void {
    this.#tracked.add(x.id);
  }

  /**
   * Takes a kernel that has run; keeps it only if gradients must flow through it. The engine calls it.
   * @internal
   */
  record(node: TapeNode): void {
    if (!Object.values(node.inputs).some((x) => this.#follows(x))) {
      node.saved.forEach((t) => t.dispose());
      return;
    }
    node.outputs.forEach((o) => this.#tracked.add(o.id));
    this.#nodes.push(node);
  }

  /** The number of kernels held. */
  get length(): number {
    return this.#nodes.length;
  }

  /** Frees everything recorded. */
  clear(): void {
    for (const node of this.#nodes) node.saved.forEach((t) => t.dispose());
    this.#nodes = [];
    this.#tracked.clear();
  }

  /**
   * Adds d(loss)/d(parameter) to every parameter's `grad`, and frees each activation once it is used. The tape is
   * empty afterwards, also after an error.
   * @param loss a scalar, unless `seed` is given
   * @param seed the gradient to begin with, of the loss's shape or a scalar; default 1
   * @throws Error if loss is no scalar, does not depend on a parameter, or a kernel on the way has no gradient.
   */
  backward(loss: Tensor, seed?: Tensor): void {
    const { grads, parameters } = this.#walk(loss, seed, new Set());
    tf.dispose([...grads.values()]);
    for (const [parameter, grad] of parameters) {
      if (parameter.requiresGrad) accumulate(parameter, grad);
      else grad.dispose();
    }
  }

  /**
   * d(loss)/dx for each of the tensors, parameters among them, 0 where the loss does not depend on it. No parameter's
   * `grad` changes. The tape is empty afterwards.
   * @param xs what {@link watch} was called with before recording, and parameters
   * @throws as {@link backward}
   */
  gradients(loss: Tensor, xs: Tensor[], seed?: Tensor): Tensor[] {
    const { grads, parameters } = this.#walk(loss, seed, new Set(xs.map((x) => x.id)));
    const found = xs.map((x) => {
      const grad = x instanceof Parameter ? parameters.get(x) : grads.get(x.id);
      return grad ? tf.clone(grad) : tf.zerosLike(x);
    });
    tf.dispose([...grads.values(), ...parameters.values()]);
    return found;
  }

  /** What flows to the tensors of the given ids, and to parameters. */
  #walk(loss: Tensor, seed: Tensor | undefined, wanted: Set<number>): Flow {
    this.stop();
    const flow: Flow = { grads: new Map(), parameters: new Map() };
    try {
      flow.grads.set(loss.id, this.#first(loss, seed));
      for (let node = this.#nodes.pop(); node; node = this.#nodes.pop()) this.#step(node, flow, wanted);
    } catch (error) {
      tf.dispose([...flow.grads.values(), ...flow.parameters.values()]);
      throw error;
    } finally {
      this.clear();
    }
    return flow;
  }

  /** The loss's own gradient, in its shape. */
  #first(loss: Tensor, seed?: Tensor): Tensor {
    if (!seed && loss.size !== 1) {
      throw new Error(`backward() needs a scalar loss, not one of shape [${loss.shape}]`);
    }
    if (seed && seed.size !== loss.size) {
      throw new Error(`backward(): the seed has shape [${seed.shape}], the loss [${loss.shape}]`);
    }
    if (!this.#tracked.has(loss.id)) {
      throw new Error(
        "backward(): the loss does not depend on any parameter through recorded operations",
      );
    }
    const one = seed ?? constant("one", () => tf.scalar(1));
    return tf.util.arraysEqual(one.shape, loss.shape) ? tf.clone(one) : tf.reshape(one, loss.shape);
  }

  #step(node: TapeNode, { grads, parameters }: Flow, wanted: Set<number>): void {
    try {
      const dys = node.outputs.map((o) => grads.get(o.id));
      if (!dys.some(Boolean)) return;
      const wants = Object.entries(node.inputs).filter(([, x]) => this.#follows(x));
      const results = tf.tidy(() => this.#inputGrads(node, dys, wants));
      wants.forEach(([, x], i) => {
        if (x instanceof Parameter) add(parameters, x, results[i]);
        else add(grads, x.id, results[i]);
      });
    } finally {
      node.saved.forEach((t) => t.dispose());
      for (const o of node.outputs) {
        if (wanted.has(o.id)) continue;
        grads.get(o.id)?.dispose();
        grads.delete(o.id);
      }
    }
  }

  /** The gradients of a kernel's inputs from those of its outputs. */
  #inputGrads(node: TapeNode, dys: (Tensor | undefined)[], wants: [name: string, x: Tensor][]): Tensor[] {
    const { kernelName, gradient, saved, attrs, inputs } = node;
    if (!gradient) {
      throw new Error(`The kernel ${kernelName} has no gradient; register one with tf.registerGradient`);
    }
    const thunks = gradient(dys.length > 1 ? dys : dys[0], saved, attrs, inputs);
    return wants.map(([name, x]) => {
      const thunk = thunks[name];
      if (!thunk) throw new Error(`The kernel ${kernelName} has no gradient for its "${name}"`);
      const dx = thunk();
      if (!tf.util.arraysEqual(dx.shape, x.shape)) {
        throw new Error(
          `The gradient of ${kernelName} for "${name}" has shape [${dx.shape}], not [${x.shape}]`,
        );
      }
      // A rule may hand on dy itself, which is about to be freed.
      return dys.includes(dx) ? tf.clone(dx) : dx;
    });
  }

  /** Whether gradients flow to a tensor. */
  #follows(x: Tensor): boolean {
    return this.#tracked.has(x.id) || (x instanceof Parameter && x.requiresGrad);
  }
}

/** Gradients on their way. */
interface Flow {
  /** Of tensors, by id. */
  grads: Map<number, Tensor>;
  parameters: Map<Parameter, Tensor>;
}

/** Adds a gradient to what is there under a key. */
function add<K>(sums: Map<K, Tensor>, key: K, grad: Tensor): void {
  const before = sums.get(key);
  if (!before) {
    sums.set(key, grad);
    return;
  }
  sums.set(key, tf.add(before, grad));
  before.dispose();
  grad.dispose();
}

function accumulate(parameter: Parameter, grad: Tensor): void {
  if (!parameter.grad) parameter.setGrad(grad);
  else {
    parameter.setGrad(tf.add(parameter.grad, grad));
    grad.dispose();
  }
}

/**
 * The gradient of a function with respect to tensors or parameters, whose own `grad` stays as it is. For checks and
 * small uses; training uses the tape.
 * @param f gives a scalar, or what `seed` fits
 * @param xs what f is called with; 0 comes back for one that it does not depend on
 * @param seed the gradient of f's result, of its shape; default 1
 * @throws Error for an asynchronous f, and as {@link Tape.backward}.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { grad, tf, useDevice } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const [dx] = grad((x) => tf.sum(tf.square(x)), [tf.tensor1d([1, 2, 3])]);
 * assert((await dx.data())[2] === 6);
 * ```
 */
export function grad(f: (...xs: Tensor[]) => Tensor, xs: Tensor[], seed?: Tensor): Tensor[] {
  const tape = new Tape();
  xs.forEach((x) => tape.watch(x));
  tape.start();
  try {
    const y = requireSynchronous("grad", f(...xs));
    return tape.gradients(y, xs, seed);
  } finally {
    tape.stop();
    tape.clear();
  }
}

/**
 * Runs `body` without recording; after it, what recorded goes on to do so.
 * @throws Error for an asynchronous body, most of which would run after recording is on again.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { grad, noGrad, tf, useDevice } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = tf.scalar(3);
 * const [dx] = grad((x) => tf.mul(x, noGrad(() => tf.square(x))), [x]); // x·9, the 9 a constant
 * assert((await dx.data())[0] === 9);
 * ```
 */
export function noGrad<T>(body: () => T): T {
  return untaped(() => requireSynchronous("noGrad", body()));
}

/** Runs the synchronous part of `body` without recording, whatever it leaves on. */
export function untaped<T>(body: () => T): T {
  const { activeTape, gradientDepth } = engine.state;
  engine.state.activeTape = null;
  engine.state.gradientDepth = 0;
  try {
    return body();
  } finally {
    engine.state.activeTape = activeTape;
    engine.state.gradientDepth = gradientDepth;
  }
}

/**
 * What a body gave that must not go on after it returned.
 * @param name of the function that the body was given to
 * @throws Error for a promise; its own error, if it comes to one, is nobody's.
 */
export function requireSynchronous<T>(name: string, result: T): T {
  if (typeof (result as PromiseLike<unknown> | null)?.then !== "function") return result;
  Promise.resolve(result).catch(() => {});
  throw new Error(`${name} takes a function that returns at once, not one of a promise: await outside of it`);
}

/**
 * A tensor of the same shape, dtype and values in memory of its own, not recorded; `tf.clone` shares the memory.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { tf, useDevice } from "../../mod.ts";
 * import { copyOf } from "./tape.ts";
 * await useDevice("wasm", { log: null });
 * const x = tf.tensor1d([1, 2]), y = copyOf(x);
 * x.dispose();
 * assert((await y.data())[1] === 2);
 * ```
 */
export function copyOf(x: Tensor): Tensor {
  return noGrad(() =>
    tf.tidy(() => {
      if (x.dtype === "float32") return tf.add(x, 0);
      const whole: Tensor = tf.add(tf.cast(x, "int32"), tf.scalar(0, "int32")); // which float32 would round
      return x.dtype === "int32" ? whole : tf.cast(whole, x.dtype);
    })
  );
}
