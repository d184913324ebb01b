/**
 * tfjs's own threaded SIMD binary as a compiled module. A JavaScript file because TypeScript has no grammar for
 * source-phase imports yet; they need no read permission, which reading the file from the package would.
 */
import source module from "npm:@tensorflow/tfjs-backend-wasm@4.22.0/dist/tfjs-backend-wasm-threaded-simd.wasm";

/** @type {WebAssembly.Module} */
export default module;
