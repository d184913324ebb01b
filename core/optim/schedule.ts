/** Learning-rate schedules. */
import type { Optimizer } from "./optimizer.ts";

/** Moves an optimiser's hyperparameters, one step a batch or an epoch. */
export interface Scheduler {
  /** Moves to the next step. */
  step(): void;
  /** The step it is at, from 0; settable, to resume. */
  stepNum: number;
}

/** Options of {@link OneCycleLR}; defaults are PyTorch's. */
export interface OneCycleOptions {
  /** The peak, at least 0. */
  maxLr: number;
  /** Steps of the whole cycle, a positive whole number. */
  totalSteps: number;
  /** Share of the cycle in which the rate rises, in [0, 1]; default 0.3. */
  pctStart?: number;
  /** maxLr / first rate, above 0; default 25. */
  divFactor?: number;
  /** First rate / last rate, above 0; default 1e4. */
  finalDivFactor?: number;
  /** Whether momentum (Adam's β1) moves the other way, also of an SGD made without any; default true. */
  cycleMomentum?: boolean;
  /** Lowest momentum, in [0, 1); default 0.85. */
  baseMomentum?: number;
  /** Highest momentum, in [0, 1); default 0.95. */
  maxMomentum?: number;
}

/** From a at 0 to b at 1 along half a cosine. */
const cosine = (a: number, b: number, t: number): number => b + (a - b) / 2 * (1 + Math.cos(Math.PI * t));

/**
 * Smith & Topin's (2018) one-cycle policy with PyTorch's curve: a cosine from maxLr/divFactor up to maxLr, then a
 * cosine down to the first rate/finalDivFactor; momentum mirrors it. All groups get the same.
 */
export class OneCycleLR implements Scheduler {
  #step = 0;
  /** All options, defaults included. */
  readonly options: Required<OneCycleOptions>;

  /**
   * Sets the optimiser to the first step.
   * @param optimizer whose learning rate and momentum move
   * @throws RangeError for options out of range.
   */
  constructor(readonly optimizer: Optimizer, {
    maxLr,
    totalSteps,
    pctStart = 0.3,
    divFactor = 25,
    finalDivFactor = 1e4,
    cycleMomentum = true,
    baseMomentum = 0.85,
    maxMomentum = 0.95,
  }: OneCycleOptions) {
    this.options = {
      maxLr,
      totalSteps,
      pctStart,
      divFactor,
      finalDivFactor,
      cycleMomentum,
      baseMomentum,
      maxMomentum,
    };
    if (!Number.isInteger(totalSteps) || totalSteps < 1) {
      throw new RangeError(`OneCycleLR: totalSteps must be a positive whole number, not ${totalSteps}`);
    }
    const requireOption = (name: string, value: number, fits: boolean, range: string) => {
      if (!fits) throw new RangeError(`OneCycleLR: ${name} ${range}, not ${value}`);
    };
    requireOption("maxLr", maxLr, maxLr >= 0 && Number.isFinite(maxLr), "is a number of at least 0");
    requireOption("pctStart", pctStart, pctStart >= 0 && pctStart <= 1, "lies in [0, 1]");
    for (const [name, value] of Object.entries({ divFactor, finalDivFactor })) {
      requireOption(name, value, value > 0 && Number.isFinite(value), "is a number above 0");
    }
    for (const [name, value] of Object.entries({ baseMomentum, maxMomentum })) {
      requireOption(name, value, value >= 0 && value < 1, "lies in [0, 1)");
    }
    this.stepNum = 0;
  }

  /**
   * The step it is at, from 0; setting it moves the optimiser there.
   * @throws RangeError when it is set to another than a whole number from 0 to totalSteps.
   */
  get stepNum(): number {
    return this.#step;
  }
  set stepNum(step: number) {
    const { lr, momentum } = this.at(step);
    this.#step = step;
    for (const group of this.optimizer.paramGroups) {
      group.lr = lr;
      if (!this.options.cycleMomentum) continue;
      if (group.betas) group.betas = [momentum, group.betas[1]];
      else group.momentum = momentum;
    }
  }

  /**
   * Moves to the next step.
   * @throws Error past the end.
   */
  step(): void {
    if (this.#step + 1 > this.options.totalSteps) {
      throw new Error(`OneCycleLR: a cycle of ${this.options.totalSteps} steps is over`);
    }
    this.stepNum++;
  }

  /**
   * Learning rate and momentum at a step, whether they are applied or not; a phase of one step is at its end.
   * @param step a whole number from 0 to totalSteps; the last, after the cycle, is for PyTorch's sake
   * @throws RangeError for another step.
   */
  at(step: number): { lr: number; momentum: number } {
    if (!Number.isInteger(step) || step < 0 || step > this.options.totalSteps) {
      throw new RangeError(
        `OneCycleLR: a step is a whole number from 0 to ${this.options.totalSteps}, not ${step}`,
      );
    }
    const { maxLr, totalSteps, pctStart, divFactor, finalDivFactor } = this.options;
    const { baseMomentum, maxMomentum } = this.options;
    const first = maxLr / divFactor, last = first / finalDivFactor;
    const peak = pctStart * totalSteps - 1, end = totalSteps - 1;
    if (step <= peak) {
      const t = peak > 0 ? step / peak : 1;
      return { lr: cosine(first, maxLr, t), momentum: cosine(maxMomentum, baseMomentum, t) };
    }
    const t = end > peak ? (step - peak) / (end - peak) : 1;
    return { lr: cosine(maxLr, last, t), momentum: cosine(baseMomentum, maxMomentum, t) };
  }
}
