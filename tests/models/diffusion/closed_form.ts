/** Samplings of Diffusers' tests (tests/golden/schedulers.json): a closed-form network, x·t/(t+1), and draws that are cosines. */
import { type diffusion, Module, type Tensor, tf } from "../../../mod.ts";

/** The fields of a scheduler. */
export interface Config {
  num_train_timesteps?: number;
  beta_schedule?: "linear" | "scaled_linear" | "squaredcos_cap_v2" | "sigmoid";
  prediction_type?: "epsilon" | "v_prediction";
  timestep_spacing?: "leading" | "linspace" | "trailing";
  clip_sample?: boolean;
  thresholding?: boolean;
  rescale_betas_zero_snr?: boolean;
  variance_type?: "fixed_small" | "fixed_large";
  skip_prk_steps?: boolean;
  use_karras_sigmas?: boolean;
  use_exponential_sigmas?: boolean;
  solver_order?: number;
  algorithm_type?: "sde-dpmsolver++";
  final_sigmas_type?: "sigma_min";
  shift?: number;
  sigma_min?: number;
  sigma_max?: number;
}

/** One sampling of Diffusers. */
export interface Case {
  scheduler: string;
  config: Config;
  steps: number;
  timesteps: number[];
  sum: number;
  mean: number;
  heads: number[][];
  sigmas?: number[];
}

/** What Diffusers drew. */
export const { cases }: { cases: Case[] } = JSON.parse(
  await Deno.readTextFile(new URL("../../golden/schedulers.json", import.meta.url)),
);

/** The network of Diffusers' tests. */
export class ClosedForm extends Module<[Tensor, Tensor | number], Tensor> {
  constructor(readonly sign: number) {
    super();
  }
  override forward(x: Tensor, t: Tensor | number): Tensor {
    return tf.mul(
      x,
      typeof t === "number" ? this.sign * t / (t + 1) : tf.mul(tf.div(t, tf.add(t, 1)), this.sign),
    );
  }
}

/** Images of the samplings. */
export const SHAPE: [number, number, number, number] = [4, 3, 8, 8];
const SIZE = 768;

/** The start of Diffusers' tests: an array [3,8,8,4] of arange, its last axis moved to the front. */
export function start(): Float32Array {
  return Float32Array.from({ length: SIZE }, (_, i) => ((i % 192) * 4 + Math.floor(i / 192)) / SIZE);
}

/** Schedulers that keep x/α. */
export const IN_SIGMA = /^(Euler|EulerAncestral|Heun|LMS)Discrete$/;

/** What a scheduler multiplies noise by to begin, by our scale of images. */
export function startScale(
  name: string,
  { config }: Case,
  [{ α, σ }]: readonly diffusion.NoiseLevel[],
): number {
  if (name.startsWith("EDM")) return Math.hypot(1, σ);
  return IN_SIGMA.test(name) && config.timestep_spacing !== "leading"
    ? σ
    : IN_SIGMA.test(name)
    ? Math.hypot(α, σ)
    : 1;
}

/** The n-th draw of noise. */
export function cosines(n: number): Tensor {
  return tf.tensor(Float32Array.from({ length: SIZE }, (_, i) => Math.cos(i + n)), SHAPE);
}
