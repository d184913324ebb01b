/** The base of every model and layer. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { copyOf, Parameter, requireSynchronous } from "../autograd/tape.ts";

/** A tensor that a model keeps but does not train, such as a running mean. */
export class Buffer {
  #value: Tensor;
  /**
   * Begins with a value.
   * @param value of any shape and dtype; the buffer takes it over, and the caller no longer owns it
   */
  constructor(value: Tensor) {
    this.#value = tf.keep(value);
  }
  /** The tensor, which the buffer owns. Setting it takes the new one over and frees the old. */
  get value(): Tensor {
    return this.#value;
  }
  set value(next: Tensor) {
    const old = this.#value;
    this.#value = tf.keep(next);
    if (old !== next) old.dispose();
  }
  /** Frees the tensor. */
  dispose(): void {
    this.#value.dispose();
  }
}

/** Sets the mode of one module, without those in it. */
let setMode: (module: Module, training: boolean) => void;

/**
 * Runs `body` with a model in a mode, and puts the mode of each of its modules back, so that whatever else uses the model
 * finds it as it was.
 * @param training whether layers behave as in training, see {@link Module.train}
 * @throws Error for an asynchronous body, most of which would run after the mode is back.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Dropout, withMode } from "../mod.ts";
 * const model = new Dropout(0.5);
 * assert(!withMode(model, false, () => model.training) && model.training);
 * ```
 */
export function withMode<T>(model: Module, training: boolean, body: () => T): T {
  return inMode(model, training, () => requireSynchronous("withMode", body()));
}

/** Runs the synchronous part of `body` with a model in a mode, see {@link withMode}. */
export function inMode<T>(model: Module, training: boolean, body: () => T): T {
  const before = Array.from(model.namedModules(), ([, module]) => [module, module.training] as const);
  try {
    if (model.train !== Module.prototype.train) model.train(training); // a model may keep parts of it in a mode
    else for (const [module, mode] of before) if (mode !== training) setMode(module, training);
    return body();
  } finally {
    for (const [module, mode] of before) setMode(module, mode);
  }
}

/** Whether modules are looked for in a value. */
function isCollection(x: unknown): x is object {
  if (typeof x !== "object" || x === null) return false;
  return Array.isArray(x) || x instanceof Map || Object.getPrototypeOf(x) === Object.prototype;
}

/**
 * Called after a module's forward; what it returns takes the output's place, unless that is undefined or null. Tensors
 * that it makes are freed with those of the forward: `tf.keep` what must outlive it.
 */
// deno-lint-ignore no-explicit-any
export type ForwardHook = (module: Module, inputs: any[], output: any) => any;

/** What was missing or unknown when a state dict was loaded. */
export interface LoadReport {
  /** Names that the model has and the state lacks. */
  missing: string[];
  /** Names that the state has and the model lacks. */
  unexpected: string[];
}

/** Tensors by the path to them; those of {@link Module.stateDict} the model still owns. */
export type StateDict = Record<string, Tensor>;

/**
 * A part of a model: parameters, buffers and modules are found on its own properties (and in arrays, plain objects and
 * maps, nested or not, but not in `#private` ones), and named by the path to them, as in PyTorch; one that is found twice
 * counts once, under its first name. Subclasses write `forward`; callers use `call`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Linear, Module, tf, useDevice } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * class Twice extends Module {
 *   inner = new Linear(3, 3);
 *   override forward(x: tf.Tensor) {
 *     return this.inner.call(this.inner.call(x));
 *   }
 * }
 * const model = new Twice();
 * assert(Object.keys(model.stateDict()).join() === "inner.weight,inner.bias");
 * ```
 */
// deno-lint-ignore no-explicit-any
export abstract class Module<In extends any[] = any[], Out = any> {
  static {
    setMode = (module, training) => module.#training = training;
  }
  #training = true;
  #hooks = new Set<ForwardHook>();

  /** Computes the output, at once and not by a promise. Subclasses write it; callers use {@link call}. */
  abstract forward(...inputs: In): Out;

  /**
   * Runs {@link forward} and the hooks. Tensors made on the way are freed unless the backward pass needs them.
   * @param inputs of forward; they stay the caller's
   * @returns the output, whose tensors the caller owns
   * @throws Error if forward gives a promise, most of which would run after tensors are freed and recording is off.
   */
  call(...inputs: In): Out {
    return tf.tidy(() => {
      let output = this.forward(...inputs);
      if (output instanceof Promise) {
        output.catch(() => {});
        throw new Error(`${this.constructor.name}.forward gives a promise: await outside of the model`);
      }
      for (const hook of this.#hooks) output = hook(this, inputs, output) ?? output;
      return output as never;
    }) as Out;
  }

  /** Whether layers behave as in training (dropout on, batch statistics), as every new module does. */
  get training(): boolean {
    return this.#training;
  }

  /**
   * Sets training (or evaluation) behaviour for this module and all in it.
   * @param mode true for training; default true
   */
  train(mode = true): this {
    return this.apply((m) => m.#training = mode);
  }

  /** Evaluation behaviour: `train(false)`. */
  eval(): this {
    return this.train(false);
  }

  /** Calls f with every module in this one, children first, itself last. */
  apply(f: (module: Module) => void): this {
    for (const [, module] of this.#walk("", new Set(), true)) f(module);
    return this;
  }

  /**
   * Calls `hook` after each forward of this module, hooks in the order in which they were registered.
   * @returns ends that
   */
  registerForwardHook(hook: ForwardHook): () => void {
    this.#hooks.add(hook);
    return () => this.#hooks.delete(hook);
  }

  /** Modules directly inside, each once, with their names. */
  children(): [string, Module][] {
    return this.#members((x) => x instanceof Module);
  }

  /**
   * This module and all inside, each once, parents first, with their paths ("" for this one).
   * @param prefix of the paths; default none
   */
  *namedModules(prefix = ""): Generator<[string, Module]> {
    yield* this.#walk(prefix, new Set());
  }

  /** Itself and all inside, each once, by its first path. */
  *#walk(path: string, seen: Set<Module>, childrenFirst = false): Generator<[string, Module]> {
    if (seen.has(this)) return;
    seen.add(this);
    if (!childrenFirst) yield [path, this];
    for (const [name, child] of this.children()) {
      yield* child.#walk(path ? `${path}.${name}` : name, seen, childrenFirst);
    }
    if (childrenFirst) yield [path, this];
  }

  /** Parameters with their paths; one that appears twice is named once. */
  *namedParameters(): Generator<[string, Parameter]> {
    yield* this.#named((x) => x instanceof Parameter) as Generator<[string, Parameter]>;
  }

  /** Parameters in the order of {@link namedParameters}. */
  parameters(): Parameter[] {
    return [...this.namedParameters()].map(([, p]) => p);
  }

  /** Buffers with their paths; one that appears twice is named once. */
  *namedBuffers(): Generator<[string, Buffer]> {
    yield* this.#named((x) => x instanceof Buffer) as Generator<[string, Buffer]>;
  }

  /** Parameters and buffers by path. The tensors are the model's own: {@link copyOf} what must outlive a step. */
  stateDict(): StateDict {
    const state: StateDict = {};
    for (const [name, p] of this.namedParameters()) state[name] = p;
    for (const [name, b] of this.namedBuffers()) state[name] = b.value;
    return state;
  }

  /**
   * Copies tensors into parameters and buffers of the same path.
   * @param state stays the caller's
   * @param strict whether missing and unknown names are errors; default true
   * @returns the names that were missing and unknown, none if strict
   * @throws Error naming every missing, unknown or freed tensor, and those of another shape or dtype; nothing is changed
   *   then.
   */
  loadStateDict(state: StateDict, strict = true): LoadReport {
    const own = this.stateDict();
    const names = Object.keys(own).filter((name) => Object.hasOwn(state, name));
    const missing = Object.keys(own).filter((name) => !Object.hasOwn(state, name));
    const unexpected = Object.keys(state).filter((name) => !Object.hasOwn(own, name));
    const problems: string[] = [];
    for (const name of names) {
      const { shape, dtype } = own[name], given = state[name];
      if (given.isDisposed) problems.push(`${name} has been freed`);
      else if (!tf.util.arraysEqual(shape, given.shape)) {
        problems.push(`${name} has shape [${given.shape}], the model wants [${shape}]`);
      } else if (dtype !== given.dtype) {
        problems.push(`${name} is ${given.dtype}, the model wants ${dtype}`);
      }
    }
    if (strict) {
      if (missing.length) problems.push(`missing: ${missing.join(", ")}`);
      if (unexpected.length) problems.push(`not in the model: ${unexpected.join(", ")}`);
    }
    if (problems.length) throw new Error(`The state dict does not fit. ${problems.join("; ")}`);
    // All are copied before one is changed: some may be the model's own, under other names.
    const others = names.filter((name) => state[name] !== own[name]);
    const copies = new Map(others.map((name) => [name, copyOf(state[name])]));
    for (const [name, p] of this.namedParameters()) if (copies.has(name)) p.assign(copies.get(name)!);
    for (const [name, b] of this.namedBuffers()) if (copies.has(name)) b.value = copies.get(name)!;
    return { missing, unexpected };
  }

  /** Frees every parameter's gradient. */
  zeroGrad(): void {
    for (const p of this.parameters()) p.zeroGrad();
  }

  /** How many numbers all parameters have, those that are not trained among them. */
  parameterCount(): number {
    return this.parameters().reduce((sum, p) => sum + p.size, 0);
  }

  /** Frees all parameters, their gradients, and buffers; the model can no longer be called. */
  dispose(): void {
    for (const p of this.parameters()) p.dispose();
    for (const [, b] of this.namedBuffers()) b.dispose();
  }

  #members<T>(is: (x: unknown) => boolean): [string, T][] {
    const found: [string, T][] = [];
    const seen = new Set<unknown>();
    const look = (path: string, value: unknown) => {
      const wanted = is(value);
      if (!(wanted || isCollection(value)) || seen.has(value)) return;
      seen.add(value);
      if (wanted) found.push([path, value as T]);
      if (!isCollection(value)) return;
      const entries = value instanceof Map ? value : Object.entries(value);
      for (const [key, v] of entries) look(`${path}.${key}`, v);
    };
    for (const [key, value] of Object.entries(this)) look(key, value);
    return found;
  }

  *#named(is: (x: unknown) => boolean): Generator<[string, unknown]> {
    const seen = new Set<unknown>();
    for (const [path, module] of this.namedModules()) {
      for (const [name, value] of module.#members(is)) {
        if (seen.has(value)) continue;
        seen.add(value);
        yield [path ? `${path}.${name}` : name, value];
      }
    }
  }
}
