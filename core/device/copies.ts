/** Copies of this library in one program, as by a path and by a URL: they share tfjs's engine, and so one uses devices. */

const KEY = Symbol.for("@denoise/denoise device");
const HERE = new URL("../../mod.ts", import.meta.url).href;
const program = globalThis as unknown as Record<symbol, string | undefined>;

/** Whether another copy uses a device. */
export function isOtherInUse(): boolean {
  return (program[KEY] ?? HERE) !== HERE;
}

/**
 * Makes this copy the one that uses devices: two would replace each other's kernels.
 * @throws Error if another copy does
 */
export function claimProgram(): void {
  if (!isOtherInUse()) {
    program[KEY] = HERE;
    return;
  }
  throw new Error(
    `useDevice: another copy of Denoise uses a device in this program, ${
      program[KEY]
    }; this one is ${HERE}. ` +
      "Import one of them",
  );
}

/** Lets another copy use devices. */
export function leaveProgram(): void {
  if (!isOtherInUse()) delete program[KEY];
}
