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
  /** The groups' hyperparameters. */
  groups: Omit<ParamGroup, "params">[];
  /** Tensors kept for parameters, by `PLACE.NAME`. */
  tensors: Record<string, Tensor>;
}

/** Makes an optimiser for a model's parameters. */
export type OptFunc = (params: Parameter[], lr: number) => Optimizer;

/** The base of {@link SGD} and {@link Adam}. */
export abstract class Optimizer {
  /** The groups; a plain list of parameters makes one. */
  readonly paramGroups: ParamGroup[];
  /** Steps taken. */
  protected steps = 0;
  /** A number on the device: where it is not 0, {@link step} changes no parameter. For mixed precision. */
  skip: Tensor | null = null;

  /**
   * Keeps the groups.
   * @param params to be trained, or groups of them with options of their own
   * @param defaults of what a group leaves out
   * @throws Error if there is no parameter; RangeError for a learning rate below 0.
   */
  constructor(params: Parameter[] | ParamGroup[], defaults: Omit<ParamGroup, "params">) {
    const groups = params.length && "params" in params[0]
      ? params as ParamGroup[]
      : [{ params: params as Parameter[] } as ParamGroup];
    this.paramGroups = groups.map((g) => ({ ...defaults, ...g }));
    if (this.paramGroups.every((g) => g.params.length === 0)) {
      throw new Error("An optimiser needs at least one parameter");
    }
    for (const { lr } of this.paramGroups) {
      if (!(lr >= 0)) throw new RangeError(`A learning rate is at least 0, not ${lr}`);
    }
  }

  /** Changes the parameters along their gradients; those without one are left alone. */
  abstract step(): void;

  /** Frees the optimiser's own tensors. */
  abstract dispose(): void;

  /** Tensors kept for each parameter, by name. */
  protected abstract slots(): Map<Parameter, Record<string, Tensor>>;
  /** Puts back what {@link slots} gave for a parameter. */
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
    return { step: this.steps, groups: this.paramGroups.map(({ params: _, ...rest }) => rest), tensors };
  }

  /**
   * Goes on from a saved state; its tensors stay the caller's.
   * @throws Error if it has other groups, or tensors of other shapes, than these parameters.
   */
  loadState({ step, groups, tensors }: OptimizerState): void {
    if (groups.length !== this.paramGroups.length) {
      throw new Error(
        `The state has ${groups.length} parameter groups, this optimiser ${this.paramGroups.length}`,
      );
    }
    const all = this.#all();
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
    this.steps = step;
    groups.forEach((g, i) => Object.assign(this.paramGroups[i], g));
    all.forEach((p, i) => Object.keys(by[i]).length && this.restore(p, by[i]));
  }

  #all(): Parameter[] {
    return this.paramGroups.flatMap((g) => g.params);
  }
}
