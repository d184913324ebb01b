/** Looks whether losses are finite, without waiting for a device. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";

/**
 * Reads a loss while training goes on, the next one when that read has ended: on WASM each, on WebGPU one every few
 * batches, since weights that gave NaN once go on to do so.
 */
export class FiniteCheck {
  #reading: Promise<void> | null = null;
  #problem: string | null = null;

  /**
   * Begins to read a loss.
   * @param where the batch, for the error
   */
  watch(loss: unknown, where: string): void {
    if (this.#reading || !(loss instanceof tf.Tensor) || loss.isDisposed) return;
    this.#reading = this.#read(tf.keep(tf.clone(loss)), where);
  }

  async #read(loss: Tensor, where: string): Promise<void> {
    try {
      const bad = (await loss.data()).find((v) => !Number.isFinite(v));
      if (bad !== undefined) this.#problem = `The loss is ${bad} in ${where}`;
    } catch {
      // A device that fails says so itself, to whoever computes on it.
    } finally {
      loss.dispose();
      this.#reading = null;
    }
  }

  /** @throws Error where a loss that has been read was not finite. */
  check(): void {
    if (this.#problem === null) return;
    throw new Error(
      `${this.#problem}: the weights are lost. Train with a lower learning rate, with GradientClipCB, or with a larger ` +
        `eps of Adam; look whether labels made on a GPU are outside the classes; TerminateOnNaNCB names the layer; ` +
        `{ finite: false } goes on all the same`,
    );
  }

  /** Waits for the read that is under way. */
  async settled(): Promise<void> {
    await this.#reading;
  }
}
