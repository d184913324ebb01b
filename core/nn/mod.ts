/** Modules, layers and initialisers. */
export * from "./module.ts";
export * from "./layers.ts";
export * from "./init_model.ts";
export * as init from "./init.ts";
export * as F from "./functional.ts";
