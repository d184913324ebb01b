/** Fashion-MNIST classifiers. */
export {};
