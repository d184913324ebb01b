/** Data to train on: one file a source. */
export { type Emoji, emoji, EMOJI_CLASSES, type EmojiOptions } from "./emoji.ts";
export {
  embeddedFashionMnist,
  FASHION_MNIST_CLASSES,
  type FashionMnist,
  fashionMnist,
  type FashionMnistOptions,
} from "./fashion_mnist.ts";
export { readIdx } from "./idx.ts";
