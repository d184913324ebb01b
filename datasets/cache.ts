/** Where downloads are kept. Imports nothing: what a task may do is found out with it before the task starts. */

/** Whether a permission is there; never asks for it. */
export async function isGranted(descriptor: Deno.PermissionDescriptor): Promise<boolean> {
  return "Deno" in globalThis && (await Deno.permissions.query(descriptor)).state === "granted";
}

/** Where downloads of a source are kept: in the user's cache directory; undefined where the environment tells none. */
export async function cacheDirectory(source: string): Promise<string | undefined> {
  for (const [variable, rest] of [["XDG_CACHE_HOME", ""], ["HOME", "/.cache"], ["LOCALAPPDATA", ""]]) {
    if (!(await isGranted({ name: "env", variable }))) continue;
    const base = Deno.env.get(variable);
    if (base) return `${base}${rest}/denoise/${source}`;
  }
}
