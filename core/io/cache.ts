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

/** The value of the first of these environment variables that is there and may be read. */
export async function variable(...names: string[]): Promise<string | undefined> {
  for (const name of names) {
    const value = await isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
    if (value) return value;
  }
}

/** Where Hugging Face's clients keep what they download. */
export async function hubCache(): Promise<string | undefined> {
  const own = await variable("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE");
  if (own) return own;
  const home = await variable("HF_HOME"),
    cache = await variable("XDG_CACHE_HOME"),
    user = await variable("HOME", "USERPROFILE");
  const base = home ?? (cache ? `${cache}/huggingface` : user && `${user}/.cache/huggingface`);
  return base && `${base}/hub`;
}
