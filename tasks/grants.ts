/**
 * Prints paths for the permissions of a task in deno.json: those that are named of `project`, `caller` (where it is called
 * from), `cache` (where downloads are kept), `decoded`, `downloads` and `hub` (where decoded pictures, files of addresses and Hugging Face's are kept), `packages` (where npm's are) and `deno`. Deno's flags separate paths by commas,
 * so that one with a comma in it cannot be allowed: instead of it, and of one that the environment does not tell, a folder
 * of the project is.
 */
import { fileURLToPath } from "node:url";
import { cacheDirectory, hubCache } from "../core/io/cache.ts";

/** A path: what it is, and what is allowed instead. */
type Grant = [path: string | undefined, instead: string];

const grants: Record<string, () => Grant | Promise<Grant>> = {
  project: () => [".", "."],
  caller: () => [Deno.env.get("INIT_CWD"), "runs"],
  cache: async () => [await cacheDirectory("fashion-mnist"), ".cache"],
  decoded: async () => [await cacheDirectory("pictures"), ".cache/pictures"],
  downloads: async () => [await cacheDirectory("downloads"), ".cache/downloads"],
  hub: async () => [await hubCache(), ".cache/hub"],
  packages: () => {
    const resolved = fileURLToPath(import.meta.resolve("npm:hono@4.13.19"));
    return [resolved.match(/^.*[/\\](npm|node_modules)(?=[/\\])/)?.[0], "node_modules"];
  },
  deno: () => [Deno.execPath(), "deno"],
};
const paths: string[] = [];
for (const name of Deno.args) {
  const [path, instead] = await grants[name]();
  paths.push(path && !path.includes(",") ? path : instead);
}
console.log(paths.join(","));
