/** Adam and AdamW. */
import { type AdamEntry, AdamStep, run } from "../ops/mod.ts";
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { copyOf, type Parameter } from "../autograd/tape.ts";
import { Buffer } from "../nn/module.ts";
import { type GroupOptions, Optimizer } from "./optimizer.ts";

/** Options of {@link Adam} and {@link AdamW}, with PyTorch's defaults. */
export interface AdamOptions {
  /** Learning rate, at least 0; default 1e-3. */
  lr?: number;
  /** Decay rates of the two moments, each in [0, 1); default [0.9, 0.999]. */
  betas?: [number, number];
  /** Added to the denominator, above 0; default 1e-8. */
  eps?: number;
  /** At least 0: L2 penalty in Adam (default 0), decoupled decay in AdamW (default 0.01). */
  weightDecay?: number;
}

/**
 * m ← β1·m + (1−β1)·g, v ← β2·v + (1−β2)·g², p ← p − lr·m̂/(√v̂ + eps) (Kingma & Ba 2015, algorithm 1), with
 * g + weightDecay·p for g.
 * As in PyTorch, bias is corrected by the parameter's own steps, those in which it had a gradient, and with the current
 * β1, also while a schedule moves it.
 */
export class Adam extends Optimizer {
  #moments = new Map<Parameter, { m: Buffer; v: Buffer }>();
  /** Whether weight decay is decoupled from the gradient. */
  protected readonly decoupled: boolean = false;

  /**
   * Starts with moments of 0.
   * @param params to be trained, or groups of them with options of their own
   * @throws Error if there is no parameter, one is given twice, or a group has an option that Adam has not; RangeError for
   *   options out of range.
   */
  constructor(params: Parameter[] | GroupOptions[], options: AdamOptions = {}) {
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 } = options;
    super(params, { lr, betas, eps, weightDecay });
  }

  /**
   * Moves each parameter that has a gradient, in place.
   * @throws Error if one has another shape than its parameter; nothing is moved then.
   */
  override step(): void {
    this.requireGradients();
    this.steps++;
    const entries = this.paramGroups.flatMap(({ params, lr, betas, eps, weightDecay = 0 }) => {
      const [beta1, beta2] = betas!;
      return params.filter((p) => p.grad).map((param): AdamEntry => {
        const t = (this.stepsOf.get(param) ?? 0) + 1;
        this.stepsOf.set(param, t);
        return {
          ...this.#momentsOf(param),
          param,
          grad: param.grad!,
          lr,
          beta1,
          beta2,
          eps: eps!,
          rate: lr / (1 - beta1 ** t),
          rootCorrection2: Math.sqrt(1 - beta2 ** t),
          decay: this.decoupled ? weightDecay : 0,
          l2: this.decoupled ? 0 : weightDecay,
        };
      });
    });
    tf.tidy(() => void run(AdamStep, {}, { entries, skip: this.overflow }));
  }

  #momentsOf(p: Parameter): { m: Buffer; v: Buffer } {
    let moments = this.#moments.get(p);
    if (!moments) {
      moments = { m: new Buffer(tf.zeros(p.shape)), v: new Buffer(tf.zeros(p.shape)) };
      this.#moments.set(p, moments);
    }
    return moments;
  }

  /** PyTorch's names. */
  protected override readonly slotNames: readonly string[] = ["exp_avg", "exp_avg_sq"];

  /** The two moments, by PyTorch's names. */
  protected override slots(): Map<Parameter, Record<string, Tensor>> {
    return new Map(
      [...this.#moments].map(([p, { m, v }]) => [p, { exp_avg: m.value, exp_avg_sq: v.value }]),
    );
  }

  /** Puts back the two moments, or none. */
  protected override restore(p: Parameter, { exp_avg, exp_avg_sq }: Record<string, Tensor>): void {
    const { m, v } = this.#momentsOf(p);
    m.value = exp_avg ? copyOf(exp_avg) : tf.zeros(p.shape);
    v.value = exp_avg_sq ? copyOf(exp_avg_sq) : tf.zeros(p.shape);
  }

  /** Frees the moments. */
  override dispose(): void {
    for (const { m, v } of this.#moments.values()) {
      m.dispose();
      v.dispose();
    }
    this.#moments.clear();
  }
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2): p ← p − lr·weightDecay·p before each step. */
export class AdamW extends Adam {
  /** Weight decay is decoupled from the gradient. */
  protected override readonly decoupled: boolean = true;

  /**
   * Starts with moments of 0.
   * @param params to be trained, or groups of them with options of their own
   * @throws as {@link Adam}'s constructor: Error or RangeError
   */
  constructor(params: Parameter[] | GroupOptions[], { weightDecay = 0.01, ...options }: AdamOptions = {}) {
    super(params, { ...options, weightDecay });
  }
}
