/** Changes to images on the host: of the whole data, and random ones of each batch in training. */
export { compose, type ImageTransform, normalize, padZeros, resizeBilinear, toFloat } from "./image.ts";
export {
  type Augment,
  augmentAll,
  flipHorizontal,
  type PatchOptions,
  randCopy,
  randErase,
  randomCrop,
  randomFlip,
} from "./augment.ts";
