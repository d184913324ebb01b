/** Modules built for shared memory, made to run on a memory of one thread. */

const IMPORTS = 2, MEMORY = 2;
/** Flag of a memory that is shared. */
const SHARED = 2;

/** Whether this place lets threads share memory: a browser page needs cross-origin isolation for it. */
export function canShareMemory(): boolean {
  if ((globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === false) return false;
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof
      SharedArrayBuffer;
  } catch {
    return false;
  }
}

/**
 * A copy of a WASM binary that imports an unshared memory in place of a shared one. Its atomic instructions are plain
 * ones there.
 * @throws Error if it imports no memory.
 */
export function unshare(binary: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(binary);
  let at = 8;
  const number = () => {
    let n = 0;
    for (let shift = 0;; shift += 7) {
      const byte = bytes[at++];
      n |= (byte & 0x7f) << shift;
      if (byte < 0x80) return n >>> 0;
    }
  };
  const skipName = () => {
    const length = number();
    at += length;
  };
  const skipLimits = () => {
    const bounded = number() & 1;
    number();
    if (bounded) number();
  };
  while (at < bytes.length) {
    const section = bytes[at++], size = number(), end = at + size;
    if (section !== IMPORTS) {
      at = end;
      continue;
    }
    for (let left = number(); left > 0; left--) {
      skipName();
      skipName();
      const kind = bytes[at++];
      if (kind === MEMORY) {
        bytes[at] &= ~SHARED;
        return bytes;
      }
      if (kind === 0) number(); // a function's type
      else if (kind === 1) { // a table: its elements' type, its limits
        at++;
        skipLimits();
      } else if (kind === 3) at += 2; // a global's type and mutability
      else number(), number(); // an exception's
    }
  }
  throw new Error("This WASM module imports no memory");
}
