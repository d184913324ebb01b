/**
 * Kernels and buffers on trial. A device says only later whether it takes one, and drops all that was submitted with one
 * that it does not take. So runs with a new one are submitted alone until it has answered; and what a refused one should
 * have held, and all that was computed from it, is an error when it is read.
 */
import type { TensorInfo } from "../../tf.ts";
import { DeviceError } from "../device_error.ts";

/** A kernel or buffer that the device may yet refuse. */
export class Trial {
  /** Whether the device has answered. */
  settled = false;
  /** Why it was refused, if it was. */
  error: DeviceError | null = null;
  readonly #refused: string;
  readonly #answers: Promise<void>[] = [];

  /** @param refused what an error says before the device's own words */
  constructor(refused: string) {
    this.#refused = refused;
  }

  /**
   * Runs a piece of work of which errors tell that the device refuses this.
   * @param others whose refusal would explain them as well
   */
  watch<T>(device: GPUDevice, work: () => T, others: Trial[] = []): T {
    const filters = ["validation", "out-of-memory"] as const;
    for (const filter of filters) device.pushErrorScope(filter);
    try {
      return work();
    } finally {
      for (let i = 0; i < filters.length; i++) {
        const answer = device.popErrorScope().then((error) => {
          if (error && !others.some((other) => other.error)) {
            this.error ??= new DeviceError(`${this.#refused}: ${error.message}`);
          }
        }, () => {}); // the device is lost, which is told otherwise
        this.#answers.push(answer);
      }
    }
  }

  /** Waits for all answers; thereafter the trial is settled. */
  async settle(): Promise<void> {
    await Promise.all(this.#answers);
    this.settled = true;
  }
}

/** Which tensors depend on what is on trial, or was refused. */
export class Trials {
  readonly #ofTensor = new WeakMap<object, Set<Trial>>();
  /** The trial of a tensor's own buffer. */
  readonly #ofBuffer = new WeakMap<object, Trial>();
  /** How many are not known to be good. */
  #open = 0;

  /** Begins a trial. */
  begin(refused: string): Trial {
    const trial = new Trial(refused);
    this.#open++;
    queueMicrotask(async () => {
      await trial.settle();
      if (!trial.error) this.#open--;
    });
    return trial;
  }

  /** Notes that a tensor's buffer is on trial. */
  add({ dataId }: Pick<TensorInfo, "dataId">, trial: Trial): void {
    this.#ofBuffer.set(dataId, trial);
    const trials = this.#ofTensor.get(dataId);
    if (trials) trials.add(trial);
    else this.#ofTensor.set(dataId, new Set([trial]));
  }

  /**
   * Notes that some tensors are computed from others, and does so: not at all from what was refused, and apart from what
   * else is submitted where the device has not answered for the kernel or for a buffer of theirs.
   * @param record called for what the device takes
   * @param alone called in its place for what it may refuse
   */
  follow(
    inputs: (TensorInfo | undefined)[],
    outputs: TensorInfo[],
    kernel: Trial | undefined,
    record: () => void,
    alone: (trial: Trial, others: Trial[]) => void,
  ): void {
    if (this.#open === 0) return record();
    const all = new Set<Trial>();
    for (const x of [...inputs, ...outputs]) {
      for (const trial of x && this.#ofTensor.get(x.dataId) || []) {
        if (!trial.settled || trial.error) all.add(trial);
      }
    }
    if (kernel) all.add(kernel);
    for (const { dataId } of outputs) this.#ofTensor.set(dataId, all);
    const trials = [...all];
    if (trials.some((trial) => trial.error)) return;
    const buffers = [...inputs, ...outputs].map((x) => x && this.#ofBuffer.get(x.dataId));
    const unsettled = [kernel, ...buffers].find((trial) => trial && !trial.settled);
    if (unsettled) alone(unsettled, trials);
    else record();
  }

  /** Whether a tensor depends on what may have been, or was, refused. */
  has(dataId: object): boolean {
    return [...this.#ofTensor.get(dataId) ?? []].some((trial) => !trial.settled || trial.error);
  }

  /** @throws DeviceError if a tensor depends on what was refused. */
  async requireGood(dataId: object): Promise<void> {
    for (const trial of this.#ofTensor.get(dataId) ?? []) {
      await trial.settle();
      if (trial.error) throw trial.error;
    }
  }
}
