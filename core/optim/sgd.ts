/** Stochastic gradient descent. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { copyOf, type Parameter } from "../autograd/tape.ts";
import { Buffer } from "../nn/module.ts";
import { type GroupOptions, Optimizer } from "./optimizer.ts";

/** Options of {@link SGD}. */
export interface SGDOptions {
  /** Learning rate, at least 0; there is no default. */
  lr: number;
  /** At least 0; default 0. */
  momentum?: number;
  /** L2 penalty, at least 0; default 0. */
  weightDecay?: number;
}

/** v ← momentum·v + g + weightDecay·p, p ← p − lr·v, as PyTorch's; the first v is its first gradient. */
export class SGD extends Optimizer {
  #velocity = new Map<Parameter, Buffer>();

  /**
   * Starts without velocity.
   * @param params to be trained, or groups of them with options of their own
   * @throws Error if there is no parameter, one is given twice, or a group has an option that SGD has not; RangeError for
   *   options out of range.
   */
  constructor(params: Parameter[] | GroupOptions[], { lr, momentum = 0, weightDecay = 0 }: SGDOptions) {
    super(params, { lr, momentum, weightDecay });
  }

  /**
   * Moves each parameter that has a gradient, in place.
   * @throws Error if one has another shape than its parameter; nothing is moved then.
   */
  override step(): void {
    this.requireGradients();
    this.steps++;
    for (const { params, lr, momentum = 0, weightDecay = 0 } of this.paramGroups) {
      for (const p of params) {
        if (!p.grad) continue;
        this.stepsOf.set(p, (this.stepsOf.get(p) ?? 0) + 1);
        tf.tidy(() => {
          let d: Tensor = weightDecay ? tf.add(p.grad!, tf.mul(p, weightDecay)) : p.grad!;
          if (momentum) d = this.#push(p, d, momentum);
          p.assign(this.#unlessSkipped(tf.sub(p, tf.mul(d, lr)), p));
        });
      }
    }
  }

  /** The next value, or the one of now where the step is to change nothing. */
  #unlessSkipped(next: Tensor, now: Tensor): Tensor {
    return this.overflow ? tf.where(tf.equal(this.overflow, 0), next, now) : next;
  }

  #push(p: Parameter, d: Tensor, momentum: number): Tensor {
    const v = this.#velocity.get(p);
    if (!v) {
      const first = new Buffer(this.#unlessSkipped(tf.add(d, 0), tf.zerosLike(d)));
      this.#velocity.set(p, first);
      return first.value;
    }
    v.value = this.#unlessSkipped(tf.add(tf.mul(v.value, momentum), d), v.value);
    return v.value;
  }

  /** PyTorch's name. */
  protected override readonly slotNames: readonly string[] = ["momentum_buffer"];

  /** The velocity, by PyTorch's name. */
  protected override slots(): Map<Parameter, Record<string, Tensor>> {
    return new Map([...this.#velocity].map(([p, v]) => [p, { momentum_buffer: v.value }]));
  }

  /** Puts back the velocity, or none. */
  protected override restore(p: Parameter, { momentum_buffer }: Record<string, Tensor>): void {
    const before = this.#velocity.get(p);
    if (momentum_buffer) this.#velocity.set(p, new Buffer(copyOf(momentum_buffer)));
    else this.#velocity.delete(p);
    before?.dispose();
  }

  /** Frees the velocities. */
  override dispose(): void {
    for (const v of this.#velocity.values()) v.dispose();
    this.#velocity.clear();
  }
}
