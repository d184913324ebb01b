/** What a learner or a callback that trains does, with errors that say what is missing. */
import { HostArray } from "../data/array.ts";
import type { Module } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Learner } from "./learner.ts";

const onHost = (x: unknown): boolean => x instanceof HostArray || (Array.isArray(x) && x.some(onHost));

/**
 * Calls a model with the inputs of a batch.
 * @throws Error where they are still on the host, or a model that takes them one by one was given several as one array.
 */
// deno-lint-ignore no-explicit-any
export function callModel(model: Module, inputs: any[]): any {
  if (inputs.some(onHost)) throw new Error("The batch is still on the host: add DeviceCB to the callbacks");
  try {
    return model.call(...inputs);
  } catch (cause) {
    if (!inputs.some(Array.isArray)) throw cause;
    const { message } = cause as Error;
    throw new Error(
      `${model.constructor.name} was given several inputs as one array, and failed: ${message}. A model for DDPMCB takes ` +
        "the pair (x, t), as UNet does; one that takes x and t one by one goes with DDPMTrainCB and Learner",
      { cause },
    );
  }
}

/**
 * The optimiser of a fit that trains.
 * @throws Error where there is none.
 */
export function optimizerOf(learn: Learner): Optimizer {
  if (learn.opt) return learn.opt;
  throw new Error(
    "The learner has no optimiser: its optFunc is null, which is for fits with { train: false }",
  );
}
