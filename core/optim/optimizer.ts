/** What every optimiser has: groups of parameters with their own hyperparameters, and a state that can be saved. */
import type { Tensor } from "../tf.ts";
import type { Parameter } from "../autograd/tape.ts";

/** Parameters that share hyperparameters; these are readable and settable between steps, and not checked again. */
export interface ParamGroup {
  /** What is trained. */
  params: Parameter[];
  /** Learning rate, at least 0. */
  lr: number;
  /** Momentum of SGD, at least 0; none in another optimiser. */
  momentum?: number;
  /** Decay rates of Adam's two moments, each in [0, 1); none in another optimiser. */
  betas?: [number, number];
  /** Added to Adam's denominator, above 0; none in another optimiser. */
  eps?: number;
  /** Weight decay, at least 0: L2 in SGD and Adam, decoupled in AdamW. */
  weightDecay?: number;
}

/** A group as an optimiser is given it: options that it leaves out (or gives as undefined) are the optimiser's. */
export type GroupOptions = Pick<ParamGroup, "params"> & Partial<ParamGroup>;

/** Everything an optimiser needs to go on: plain numbers, and tensors by name (which it still owns). */
export interface OptimizerState {
  /** Steps taken, a whole number from 0 on. */
  step: number;
  /** Steps that each parameter was moved in, by its place; left out by versions before, where all took every step. */
  steps?: number[];
  /** Parameters of each group; left out by versions before. */
  sizes?: number[];
  /** The groups' hyperparameters. */
  groups: Omit<ParamGroup, "params">[];
  /** Tensors kept for parameters, by `PLACE.NAME`. */
  tensors: Record<string, Tensor>;
}

/** Makes an optimiser for a model's parameters with a learning rate of the learner's. */
export type OptFunc = (params: Parameter[], lr: number) => Optimizer;

/** @throws RangeError unless a group's options give a step. */
function requireRanges(optimizer: string, { lr, momentum, betas, eps, weightDecay }: ParamGroup): void {
  for (const [name, value] of Object.entries({ lr, momentum, weightDecay })) {
    if (name !== "lr" && value === undefined) continue;
    if (value! >= 0 && Number.isFinite(value)) continue;
    throw new RangeError(`${optimizer}: ${name} is a number of at least 0, not ${value}`);
  }
  if (eps !== undefined && !(Math.fround(eps) > 0 && Number.isFinite(eps))) {
    throw new RangeError(
      `${optimizer}: eps is a number above 0, not ${eps}: a gradient of 0 would be divided by 0`,
    );
  }
  if (betas && !(betas.length === 2 && betas.every((beta) => beta >= 0 && beta < 1))) {
    throw new RangeError(`${optimizer}: each of the two betas lies in [0, 1), not ${betas}`);
  }
}

/** Options without those that are undefined. */
function given<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

const isCount = (x: unknown): boolean => Number.isInteger(x) && (x as number) >= 0;

/** The base of {@link SGD} and {@link Adam}. The parameters stay the model's; an optimiser owns what it keeps for them. */
export abstract class Optimizer {
  /** The groups, whose options can be set between steps; a plain list of parameters makes one. */
  readonly paramGroups: ParamGroup[];
  /** Steps taken. */
  protected steps = 0;
  /** Steps that a parameter was moved in. */
  protected readonly stepsOf: Map<Parameter, number> = new Map();
  /**
   * A number on the device, which stays its maker's: where it is not 0, {@link step} changes no parameter and nothing that
   * is kept for one, but counts as a step. For mixed precision; null by default.
   */
  overflow: Tensor | null = null;

  /**
   * Keeps the groups.
   * @param params to be trained, or groups of them with options of their own
   * @param defaults of what a group leaves out; a group has no other options
   * @throws Error if there is no parameter, one is given twice, or a group has an option that would do nothing;
   *   RangeError for numbers that give no step.
   */
  constructor(params: Parameter[] | GroupOptions[], defaults: Omit<ParamGroup, "params">) {
    const name = this.constructor.name;
    const groups: Partial<GroupOptions>[] = params.length && "params" in params[0]
      ? params as GroupOptions[]
      : [{ params: params as Parameter[] }];
    this.paramGroups = groups.map((group) => {
      const { params = [], ...options } = given(group);
      const unknown = Object.keys(options).find((option) => !(option in defaults));
      if (unknown) throw new Error(`${name} has no option "${unknown}" for a group`);
      const whole: ParamGroup = { ...defaults, ...options, params };
      requireRanges(name, whole);
      return whole;
    });
    const all = this.#all();
    if (all.length === 0) throw new Error(`${name} needs at least one parameter`);
    const twice = all.findIndex((p, i) => all.indexOf(p) < i);
    if (twice >= 0) {
      throw new Error(
        `${name}: the parameter at place ${twice} is given twice: each belongs to one group, once`,
      );
    }
  }

  /** Changes the parameters along their gradients, in place; those without one are left alone. */
  abstract step(): void;

  /** Frees the optimiser's own tensors, as before the first step; the parameters stay. */
  abstract dispose(): void;

  /** The names of the tensors that are kept for a parameter. */
  protected abstract readonly slotNames: readonly string[];
  /** Tensors kept for each parameter, by name; none for one that was not moved. */
  protected abstract slots(): Map<Parameter, Record<string, Tensor>>;
  /** Puts back copies of what {@link slots} gave for a parameter; nothing, if it had none. */
  protected abstract restore(parameter: Parameter, tensors: Record<string, Tensor>): void;

  /** Frees the gradients of all parameters. */
  zeroGrad(): void {
    for (const { params } of this.paramGroups) params.forEach((p) => p.zeroGrad());
  }

  /** The state to save, which {@link loadState} goes on from; parameters are named by their place in the groups. */
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
      sizes: this.paramGroups.map(({ params }) => params.length),
      groups: this.paramGroups.map(({ params: _, ...rest }) => rest),
      tensors,
    };
  }

  /**
   * Goes on from a saved state, and forgets the own; the state's tensors stay the caller's.
   * @throws Error if it is of another optimiser, of other groups or parameters, or of tensors of other shapes; RangeError
   *   for counts of steps and options out of range; nothing is changed then.
   */
  loadState(state: OptimizerState): void {
    const { step, steps, tensors } = state, all = this.#all();
    const groups = state.groups.map(given);
    this.#requireGroups(groups, state);
    for (const count of [step, ...(steps ?? [])]) {
      if (!isCount(count)) throw new RangeError(`A count of steps is a whole number from 0 on, not ${count}`);
    }
    const by = this.#byParameter(tensors);
    this.steps = step;
    all.forEach((p, i) => this.stepsOf.set(p, steps?.[i] ?? step));
    groups.forEach((g, i) => Object.assign(this.paramGroups[i], g));
    const slots = this.slots();
    all.forEach((p, i) => {
      if (Object.keys(by[i]).length || slots.has(p)) this.restore(p, by[i]);
    });
  }

  /** @throws Error unless a state has these groups and options, of as many parameters. */
  #requireGroups(groups: Partial<ParamGroup>[], { steps, sizes }: OptimizerState): void {
    const name = this.constructor.name, all = this.#all();
    if (groups.length !== this.paramGroups.length) {
      throw new Error(
        `The state has ${groups.length} parameter groups, this optimiser ${this.paramGroups.length}`,
      );
    }
    if (sizes && sizes.length !== groups.length) {
      throw new Error(`The state has ${groups.length} parameter groups, and the sizes of ${sizes.length}`);
    }
    if (steps && steps.length !== all.length) {
      throw new Error(`The state is of ${steps.length} parameters, this optimiser has ${all.length}`);
    }
    this.paramGroups.forEach((own, i) => {
      if (sizes && sizes[i] !== own.params.length) {
        throw new Error(
          `The state's group ${i} has ${sizes[i]} parameters, this optimiser's ${own.params.length}`,
        );
      }
      const unknown = Object.keys(groups[i]).find((option) => !(option in own));
      if (unknown) throw new Error(`The state has an option "${unknown}", which ${name} has not`);
      requireRanges(name, { ...own, ...groups[i] });
    });
  }

  /** The tensors of a state by parameter and name: all of an optimiser's, or none. */
  #byParameter(tensors: Record<string, Tensor>): Record<string, Tensor>[] {
    const all = this.#all(), by: Record<string, Tensor>[] = all.map(() => ({}));
    for (const [key, t] of Object.entries(tensors)) {
      const dot = key.indexOf("."), [index, name] = [Number(key.slice(0, dot)), key.slice(dot + 1)];
      if (dot < 1 || !all[index]) {
        throw new Error(`The state has a tensor ${key}, but there are ${all.length} parameters`);
      }
      if (String(all[index].shape) !== String(t.shape)) {
        throw new Error(`The state's ${key} has shape [${t.shape}], the parameter [${all[index].shape}]`);
      }
      by[index][name] = t;
    }
    by.forEach((kept, i) => {
      const names = Object.keys(kept);
      if (names.length === 0 || names.sort().join() === this.slotNames.toSorted().join()) return;
      throw new Error(
        `The state keeps ${names.join(" and ")} for parameter ${i}, ${this.constructor.name} ` +
          this.slotNames.join(" and "),
      );
    });
    return by;
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
