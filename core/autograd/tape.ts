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
) => Record<string, () => Tensor>;

/** A recorded kernel. */
interface TapeNode {
  kernelName: string;
  inputs: NamedTensors;
  outputs: Tensor[];
  saved: Tensor[];
  attrs: unknown;
  gradient?: GradFunc;
}

/** tfjs's engine calls this after each kernel while a tape is on; ours also wants the attributes. */
engine.addTapeNode = (
  kernelName: string,
  inputs: NamedTensors,
  outputs: Tensor[],
  custom: GradFunc | null,
  saved: Tensor[],
  attrs: unknown,
) => {
  const gradient = (tf.getGradient(kernelName)?.gradFunc as GradFunc | undefined) ?? custom ?? undefined;
  engine.state.activeTape.record({ kernelName, inputs, outputs, saved, attrs, gradient });
};

/** As the engine's own, without a second record of the copy, which needs a scope to be open. */
engine.clone = (x: Tensor): Tensor => runKernel("Identity", { x });

/**
 * A tensor that training changes. Behaves as a tensor in every op; `grad` holds what the backward pass added up.
 */
export class Parameter extends tf.Variable {
  /** d(loss)/d(this), summed over the backward passes since it was last cleared; null after {@link zeroGrad}. */
  grad: Tensor | null = null;
  /** Whether gradients are kept for it. */
  requiresGrad = true;

  /** Takes over `value`, which the caller no longer owns. */
  constructor(value: Tensor) {
    super(value, true, `parameter${engine.nextVariableId()}`, engine.nextTensorId());
    engine.incRef(this, engine.backend);
    value.dispose();
  }

  /** Frees the gradient. */
  zeroGrad(): void {
    this.grad?.dispose();
    this.grad = null;
  }

  /** Replaces the gradient; the old one is freed, the new one kept. */
  setGrad(grad: Tensor): void {
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
    const needed = Object.values(node.inputs).some((x) =>
      this.#tracked.has(x.id) || (x instanceof Parameter && x.requiresGrad)
    );
    if (!needed) {
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
   * empty afterwards.
   * @param loss a scalar, unless `seed` (of loss's shape) gives the gradient to begin with.
   * @param watched tensors whose gradients to return, in order; see {@link watch}.
   * @throws Error if loss is no scalar, does not depend on a parameter, or a kernel on the way has no gradient.
   */
  backward(loss: Tensor, seed?: Tensor, watched: Tensor[] = []): Tensor[] {
    this.stop();
    if (!seed && loss.size !== 1) {
      throw new Error(`backward() needs a scalar loss, not one of shape [${loss.shape}]`);
    }
    if (!this.#tracked.has(loss.id)) {
      this.clear();
      throw new Error(
        "backward(): the loss does not depend on any parameter through recorded operations",
      );
    }
    const wanted = new Set(watched.map((x) => x.id));
    const grads = new Map<number, Tensor>();
    const parameters = new Map<Parameter, Tensor>();
    const one = seed ?? constant("one", () => tf.scalar(1));
    grads.set(loss.id, loss.shape.length && !seed ? tf.reshape(one, loss.shape) : tf.clone(one));
    try {
      for (let node = this.#nodes.pop(); node; node = this.#nodes.pop()) {
        this.#step(node, grads, parameters, wanted);
      }
      for (const [parameter, grad] of parameters) accumulate(parameter, grad);
      return watched.map((x) => grads.get(x.id) ?? tf.zerosLike(x));
    } finally {
      for (const [id, grad] of grads) if (!wanted.has(id)) grad.dispose();
      this.clear();
    }
  }

  #step(
    node: TapeNode,
    grads: Map<number, Tensor>,
    parameters: Map<Parameter, Tensor>,
    wanted: Set<number>,
  ): void {
    const dys = node.outputs.map((o) => grads.get(o.id));
    if (dys.some(Boolean)) {
      if (!node.gradient) {
        throw new Error(
          `The kernel ${node.kernelName} has no gradient; register one with tf.registerGradient`,
        );
      }
      const wants = Object.entries(node.inputs).filter(([, x]) =>
        this.#tracked.has(x.id) || (x instanceof Parameter && x.requiresGrad)
      );
      const results = tf.tidy(() => {
        const dy = node.outputs.length > 1 ? dys : dys[0];
        const thunks = node.gradient!(dy, node.saved, node.attrs, node.inputs);
        return wants.map(([name, x]) => {
          if (!thunks[name]) {
            throw new Error(`The kernel ${node.kernelName} has no gradient for its "${name}"`);
          }
          const dx = thunks[name]();
          if (!tf.util.arraysEqual(dx.shape, x.shape)) {
            throw new Error(
              `The gradient of ${node.kernelName} for "${name}" has shape [${dx.shape}], not [${x.shape}]`,
            );
          }
          // A rule may hand on dy itself, which is about to be freed.
          return dys.includes(dx) ? tf.clone(dx) : dx;
        });
      });
      wants.forEach(([, x], i) => {
        if (x instanceof Parameter) add(parameters, x, results[i]);
        else add(grads, x.id, results[i]);
      });
    }
    node.saved.forEach((t) => t.dispose());
    for (const o of node.outputs) {
      if (wanted.has(o.id)) continue;
      grads.get(o.id)?.dispose();
      grads.delete(o.id);
    }
  }
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
 * The gradient of a scalar function with respect to tensors. For checks and small uses; training uses the tape.
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
    const y = f(...xs);
    return tape.backward(y, seed, xs);
  } finally {
    tape.stop();
    tape.clear();
  }
}

/** Runs `body` without recording. */
export function noGrad<T>(body: () => T): T {
  const tape = engine.state.activeTape, depth = engine.state.gradientDepth;
  engine.state.activeTape = null;
  engine.state.gradientDepth = 0;
  try {
    return body();
  } finally {
    engine.state.activeTape = tape;
    engine.state.gradientDepth = depth;
  }
}

/**
 * A tensor of the same shape and values in memory of its own, not recorded; `tf.clone` shares the memory.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { copyOf, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = tf.tensor1d([1, 2]), y = copyOf(x);
 * x.dispose();
 * assert((await y.data())[1] === 2);
 * ```
 */
export function copyOf(x: Tensor): Tensor {
  return noGrad(() => tf.tidy(() => tf.add(x, 0)));
}
