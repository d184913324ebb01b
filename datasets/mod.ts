/** Data to train on: one file a source. */
export { type CifarOptions, cifarSource } from "./cifar.ts";
export { type Emoji, emoji, EMOJI_CLASSES, type EmojiOptions } from "./emoji.ts";
export {
  embeddedFashionMnist,
  FASHION_MNIST_CLASSES,
  type FashionMnist,
  fashionMnist,
  type FashionMnistOptions,
} from "./fashion_mnist.ts";
export { type IdxOptions, idxSource, readIdx } from "./idx.ts";
export { folderSource, imageFolder } from "./image_folder.ts";
export {
  type ImageCache,
  type ImageDataset,
  imageDataset,
  type ImageOptions,
  type SkippedImage,
} from "./images/dataset.ts";
export type { ImageLayout } from "./images/rows.ts";
export type { ImageEntry, ImageSource, Pixels } from "./images/source.ts";
export { type NumpyOptions, numpySource } from "./npy.ts";
export { openImages, openImageSource, type SourceOptions } from "./open_images.ts";
export { type ParquetOptions, parquetSource } from "./parquet.ts";
