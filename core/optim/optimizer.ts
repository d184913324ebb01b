/** What every optimiser has: groups of parameters with their own hyperparameters, and a state that can be saved. */
import type { Tensor } from "../tf.ts";
import type { Parameter } from "../autograd/tape.ts";

/** Parameters that share hyperparameters; all are readable and settable between steps. */
export interface ParamGroup {
  /** What is trained. */
  params: Parameter[];
  /** Learning rate. */
  lr: number;
  /** Momentum of SGD. */
  momentum?: number;
  /** Decay rates of Adam's two moments. */
  betas?: [number, number];
  /** Added to Adam's denominator. */
  eps?: number;
  /** Weight decay: L2 in SGD and Adam, decoupled in AdamW. */
  weightDecay?: number;
}

/** Everything an optimiser needs to go on: plain numbers, and tensors by name (which it still owns). */
export interface OptimizerState {
  /** Steps taken. */
  step: number;
  /** Steps that each parameter was moved in, by its place; left out by versions before, where all took every step. */
  steps?: number[];
  /** The groups' hyperparameters. */
  groups: Omit<ParamGroup, "params">[];
  /** Tensors kept for parameters, by `PLACE.NAME`. */
  tensors: Record<string, Tensor>;
}

/** Makes an optimiser for a model's parameters. */
export type OptFunc = (params: Parameter[], lr: number) => Optimizer;

/** @throws RangeError unless a group's options give a step. */
function requireRanges({ lr, momentum, betas, eps, weightDecay }: ParamGroup): void {
  for (const [name, value] of Object.entries({ "a learning rate": lr, momentum, weightDecay })) {
    if (value === undefined || (value >= 0 && Number.isFinite(value))) continue;
    throw new RangeError(`${name[0].toUpperCase()}${name.slice(1)} is at least 0, not ${value}`);
  }
  if (eps !== undefined && !(Math.fround(eps) > 0 && Number.isFinite(eps))) {
    throw new RangeError(`Eps is a number above 0, not ${eps}: a gradient of 0 would be divided by 0`);
  }
  if (betas && !(betas.length === 2 && betas.every((beta) => beta >= 0 && beta < 1))) {
    throw new RangeError(`Each of Adam's two betas lies in [0, 1), not ${betas}`);
  }
}

/** The base of {@link SGD} and {@link Adam}. */
export abstract class Optimizer {
  /** The groups; a plain list of parameters makes one. */
  readonly paramGroups: ParamGroup[];
  /** Steps taken. */
  protected steps = 0;
  /** Steps that a parameter was moved in. */
  protected readonly stepsOf: Map<Parameter, number> = new Map();
  /** A number on the device: where it is not 0, {@link step} changes no parameter. For mixed precision. */
  overflow: Tensor | null = null;

  /**
   * Keeps the groups.
   * @param params to be trained, or groups of them with options of their own
   * @param defaults of what a group leaves out; a group has no other options
   * @throws Error if there is no parameter, one is given twice, or a group has an option that would do nothing;
   *   RangeError for numbers that give no step.
   */
  constructor(params: Parameter[] | ParamGroup[], defaults: Omit<ParamGroup, "params">) {
    const groups: Partial<ParamGroup>[] = params.length && "params" in params[0]
      ? params as ParamGroup[]
      : [{ params: params as Parameter[] }];
    this.paramGroups = groups.map((group) => {
      const { params = [], ...options } = group;
      const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
      const unknown = Object.keys(given).find((name) => !(name in defaults));
      if (unknown) throw new Error(`${this.constructor.name} has no option "${unknown}" for a group`);
      const whole: ParamGroup = { ...defaults, ...given, params };
      requireRanges(whole);
      return whole;
    });
    const all = this.#all();
    if (all.length === 0) throw new Error("An optimiser needs at least one parameter");
    const twice = all.findIndex((p, i) => all.indexOf(p) < i);
    if (twice >= 0) {
      throw new Error(`The parameter at place ${twice} is given twice: each belongs to one group, once`);
    }
  }

  /** Changes the parameters along their gradients; those without one are left alone. */
  abstract step(): void;

  /** Frees the optimiser's own tensors. */
  abstract dispose(): void;

  /** Tensors kept for each parameter, by name. */
  protected abstract slots(): Map<Parameter, Record<string, Tensor>>;
  /** Puts back copies of what {@link slots} gave for a parameter; nothing, if it had none. */
  protected abstract restore(parameter: Parameter, tensors: Record<string, Tensor>): void;

  /** Clears the gradients. */
  zeroGrad(): void {
    for (const { params } of this.paramGroups) params.forEach((p) => p.zeroGrad());
  }

  /** The state to save; parameters are named by their place in the groups. */
  state(): OptimizerState {
    const tensors: Record<string, Tensor> = {};
    const slots = this.slots();
    this.#all().forEach((p, i) => {
      for (const [name, t] of Object.entries(slots.get(p) ?? {})) tensors[`${i}.${name}`] = t;
    });
    const steps = this.#all().map((p) => this.stepsOf.get(p) ?? 0);
    return {
      step: this.steps,
      steps,
      groups: this.paramGroups.map(({ params: _, ...rest }) => rest),
      tensors,
    };
  }

  /**
   * Goes on from a saved state, and forgets the own; the state's tensors stay the caller's.
   * @throws Error if it has other groups, or tensors of other shapes, than these parameters; nothing is changed then.
   */
  loadState({ step, steps, groups, tensors }: OptimizerState): void {
    if (groups.length !== this.paramGroups.length) {
      throw new Error(
        `The state has ${groups.length} parameter groups, this optimiser ${this.paramGroups.length}`,
      );
    }
    const all = this.#all();
    if (steps && steps.length !== all.length) {
      throw new Error(`The state is of ${steps.length} parameters, this optimiser has ${all.length}`);
    }
    const by: Record<string, Tensor>[] = all.map(() => ({}));
    for (const [key, t] of Object.entries(tensors)) {
      const [index, name] = [Number(key.split(".")[0]), key.slice(key.indexOf(".") + 1)];
      if (!all[index]) {
        throw new Error(`The state has a tensor ${key}, but there are ${all.length} parameters`);
      }
      if (String(all[index].shape) !== String(t.shape)) {
        throw new Error(`The state's ${key} has shape [${t.shape}], the parameter [${all[index].shape}]`);
      }
      by[index][name] = t;
    }
    groups.forEach((g, i) => requireRanges({ ...this.paramGroups[i], ...g }));
    this.steps = step;
    all.forEach((p, i) => this.stepsOf.set(p, steps?.[i] ?? step));
    groups.forEach((g, i) => Object.assign(this.paramGroups[i], g));
    const slots = this.slots();
    all.forEach((p, i) => {
      if (Object.keys(by[i]).length || slots.has(p)) this.restore(p, by[i]);
    });
  }

  /**
   * Looks at the gradients before any parameter is moved.
   * @throws Error if one has another shape than its parameter.
   */
  protected requireGradients(): void {
    this.#all().forEach(({ grad, shape }, i) => {
      if (!grad || String(grad.shape) === String(shape)) return;
      throw new Error(
        `${this.constructor.name}: the gradient of parameter ${i} has shape [${grad.shape}], the parameter [${shape}]`,
      );
    });
  }

  #all(): Parameter[] {
    return this.paramGroups.flatMap((g) => g.params);
  }
}
