/** The networks of classes that ship with Denoise. */
import { readBytes, sha256 } from "../../core/mod.ts";
import { decodeEDMModel, type EDMModel, type EDMSteps, edmSteps } from "./edm_model.ts";

/** Names of the networks that ship. */
export type PretrainedName = "edm";

/** A network that ships, as a file. */
export interface ShippedFile {
  /** Where it is, beside this module. */
  readonly weights: URL;
  /** Its SHA-256, in hexadecimal. */
  readonly sha256: string;
  /** Whether the network was tuned to draw in few steps. */
  readonly few: boolean;
}

/** The networks that ship, by name. */
export const PRETRAINED: Readonly<Record<PretrainedName, ShippedFile>> = {
  edm: {
    weights: new URL("./weights/fashion_mnist_edm.safetensors", import.meta.url),
    sha256: "1a18e69bc3ba33e03516dfe087191ebddb83c4a3b5a93bb75b59e6be590f7991",
    few: false,
  },
};

/** A network that ships, and how to draw with it. */
export interface PretrainedModel extends EDMModel {
  /** Its name. */
  name: PretrainedName;
  /** Height and width of its images, which have one channel. */
  size: number;
  /** Values of its images' pixels. */
  range: [low: number, high: number];
  /** Steps of {@link sample}, as {@link edmSteps} gives them; by default as many as suit the network. */
  inSteps(n?: number): EDMSteps;
}

/** Options of {@link pretrained}. */
export interface PretrainedOptions {
  /** Where the network's file is; default beside this module. */
  weights?: URL;
}

/** @throws Error unless bytes are those of a file that ships. A page that is no secure context has no SHA-256 to ask. */
async function requireFile(name: PretrainedName, from: URL, bytes: Uint8Array): Promise<void> {
  if (!crypto.subtle) return;
  const { sha256: expected } = PRETRAINED[name], got = await sha256(bytes);
  if (got === expected) return;
  throw new Error(
    `pretrained: ${from} is not the file of the network ${name} that ships here. Its SHA-256 is ${got}, not ${expected}: ` +
      "it is damaged, or another version's; take the file of this version",
  );
}

/**
 * A network that ships, trained on all of Fashion-MNIST with its classes (docs/training.md), as an average of its weights.
 * `edm` is that of the preset `edm`: a {@link PatchUNet} of 28×28 images in [−1, 1]. Its file is read beside this module,
 * by URL where the module was imported by one, and its SHA-256 compared.
 * @param name default `edm`
 * @throws RangeError for another name; Error that names the file, if it is not there or another.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const { denoise, classes, size, inSteps } = await diffusion.pretrained();
 * const labels = tf.tensor1d(["Bag", "Sneaker"].map((name) => classes.indexOf(name)), "int32");
 * const told = diffusion.guided(denoise, labels, { scale: 2, none: classes.length });
 * const images = await diffusion.sample(told, [2, size, size, 1], inSteps(5));
 * assert(images.shape.join() === "2,28,28,1");
 * ```
 */
export async function pretrained(
  name: PretrainedName = "edm",
  options: PretrainedOptions = {},
): Promise<PretrainedModel> {
  if (!Object.hasOwn(PRETRAINED, name)) {
    throw new RangeError(`pretrained: there is ${Object.keys(PRETRAINED).join(", ")}, not ${name}`);
  }
  const { few, weights } = PRETRAINED[name], from = options.weights ?? weights;
  const bytes = await readBytes(from);
  await requireFile(name, from, bytes);
  const model = await decodeEDMModel(bytes, String(from)), { config } = model.model;
  return {
    ...model,
    name,
    size: config.sample_size as number,
    range: [-1, 1],
    inSteps: (n) => edmSteps(n, few),
  };
}
