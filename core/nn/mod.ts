/** Modules, layers and initialisers. */
export * from "./module.ts";
export * from "./layers.ts";
export * as init from "./init.ts";
export * as F from "./functional.ts";
