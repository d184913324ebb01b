/** Where a task is called from, and the paths that its caller means. */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The project. */
export const ROOT: string = fileURLToPath(new URL("../", import.meta.url));

/** Where the caller stands: `deno task` runs in the project and tells it by INIT_CWD. */
export function callerDirectory(): string {
  const { state } = Deno.permissions.querySync({ name: "env", variable: "INIT_CWD" });
  return state === "granted" && Deno.env.get("INIT_CWD") || Deno.cwd();
}

/** A path in the project, as the caller can name it: absolute where the caller stands elsewhere. */
export function inProject(path: string): string {
  return callerDirectory() === Deno.cwd() ? path : resolve(path);
}

/** A path as it is meant from where the caller stands. */
export function fromCaller(path: string): string {
  const caller = callerDirectory();
  return caller === Deno.cwd() ? path : resolve(caller, path);
}
