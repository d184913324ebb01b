/** Puts a backend of ours into tfjs's engine, and takes it out again. */
import { rememberKernels, restoreKernels } from "../ops/op.ts";
import type { Backend } from "../ops/op.ts";
import { engine, tf } from "../tf.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/** What stood under a backend's name: a user's own, whose tensors move to ours when they are used. */
export interface Former {
  readonly name: Backend;
  readonly factory: unknown;
  readonly instance: Any;
  /** The backend in use, of any name. */
  readonly current: string | null;
}

/** What stands under a backend's name; before a package is loaded that registers itself there. */
export function formerBackend(name: Backend): Former {
  const { registry, registryFactory, backendName } = engine;
  return { name, factory: registryFactory[name], instance: registry[name], current: backendName };
}

/** Puts back what stood there. */
export function restoreBackend({ name, factory, instance, current }: Former): void {
  forget(name);
  if (factory) engine.registryFactory[name] = factory;
  if (instance) engine.registry[name] = instance;
  if (current && engine.registry[current] && !engine.backendName) tf.setBackend(current);
}

/**
 * Makes a backend the one that tensors are created on, in place of what stands under its name, which is not disposed of.
 * @param registerKernels called between, while tfjs's own kernels are there to be replaced
 */
export function installBackend(name: Backend, backend: Any, registerKernels: () => void): void {
  forget(name);
  tf.registerBackend(name, () => backend, PRIORITY);
  rememberKernels(name);
  registerKernels();
  tf.setBackend(name); // at once, since the backend is there
}

/** Takes a backend out, with our kernels. What it held is lost: reading or using a tensor of it is an error. */
export function removeBackend(former: Former, backend: Any): void {
  const { name } = former;
  restoreKernels(name);
  restoreBackend(former);
  const lost = () => {
    throw new Error("This tensor was on a device that has been closed: its numbers are lost");
  };
  Object.assign(backend, {
    read: () => Promise.resolve().then(lost),
    readSync: lost,
    readToGPU: lost,
    write: lost,
    disposeData: () => true,
    incRef() {},
    refCount: () => 1,
    numDataIds: () => 0,
  });
  // tfjs's own kernels hold functions of the backend that they were set up for, and so all of its memory.
  if (former.instance) return;
  for (const { setupFunc } of tf.getKernelsForBackend(name)) setupFunc?.({ wasm: { cwrap: () => lost } });
}

/** Before all others. */
const PRIORITY = 10;

/** As the engine's `removeBackend`, but without disposing of it. */
function forget(name: Backend): void {
  delete engine.registry[name];
  delete engine.registryFactory[name];
  if (engine.backendName !== name) return;
  if (engine.pendingBackendInit) engine.pendingBackendInitId++;
  engine.pendingBackendInit = engine.backendName = engine.backendInstance = null;
}
