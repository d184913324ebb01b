/** Data to train on: one file a source. */
export {
  embeddedFashionMnist,
  FASHION_MNIST_CLASSES,
  type FashionMnist,
  fashionMnist,
  type FashionMnistOptions,
} from "./fashion_mnist.ts";
export { readIdx } from "./idx.ts";
