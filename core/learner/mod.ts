/** The Learner and the callback protocol. */
export * from "./callback.ts";
export * from "./cancel.ts";
export * from "./learner.ts";
