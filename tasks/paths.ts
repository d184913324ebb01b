/** Whether a task can read and write where the command line says; it is asked before the work begins. */
import { basename, dirname, join, relative, resolve } from "node:path";
import { sweepTemporaryFiles } from "../core/mod.ts";
import { callerDirectory, ROOT } from "./caller.ts";
import { UsageError } from "./cli.ts";

const isRefused = (error: unknown) => error instanceof Deno.errors.NotCapable;

/** The nearest part of a path that is there, or may not be looked at. */
async function existing(path: string): Promise<string> {
  for (let at = resolve(path);; at = dirname(at)) {
    if (at === dirname(at) || await Deno.lstat(at).then(() => true, isRefused)) return at;
  }
}

/**
 * A path without the symbolic links on its way, as far as it is there and may be read.
 * @param option what names it in errors, with its value
 * @throws UsageError for a link on its way that leads nowhere.
 */
async function withoutLinks(option: string, path: string): Promise<string> {
  const there = await existing(path);
  const real = await Deno.realPath(there).catch(async (error) => {
    const target = isRefused(error) ? null : await Deno.readLink(there).catch(() => null);
    if (target === null) return there;
    throw new UsageError(`${option} ${there} is a link to ${target}, which is not there`);
  });
  return join(real, relative(there, resolve(path)));
}

/** @throws UsageError where the task has not the permission for a path, with what would do. */
async function requirePermission(
  name: "read" | "write",
  option: string,
  path: string,
  given: string,
): Promise<void> {
  const granted = async (path: string) => (await Deno.permissions.query({ name, path })).state === "granted";
  if (await granted(path)) return;
  const places = [ROOT, callerDirectory()].map((place) => place.replace(/(?<=.)\/$/, ""));
  const allowed: string[] = [];
  for (const place of new Set(places)) if (await granted(place)) allowed.push(place);
  const leads = resolve(given) === path ? "" : ` leads to ${path}, and`;
  const advice = path.includes(",")
    ? "A folder with a comma in its path cannot be allowed: take another"
    : `Call it from there: mkdir -p '${path}' && cd '${path}' && deno task --config ${ROOT}deno.json …`;
  throw new UsageError(
    `${option}${leads} this task may ${name} in ${allowed.join(" and ") || "no place"} alone. ${advice}`,
  );
}

/**
 * Makes sure that a folder can be written to, and makes it where it is not there; what killed processes left in it goes.
 * @param option what names it in errors
 * @param given its value, for errors
 * @returns its path, without symbolic links
 * @throws UsageError that says what would do.
 */
export async function requireFolder(option: string, folder: string, given = folder): Promise<string> {
  const real = await withoutLinks(`${option} ${given}:`, folder);
  await requirePermission("write", `${option} ${given}:`, real, folder);
  try {
    await Deno.mkdir(real, { recursive: true });
    const probe = `${real}/.denoise.${Deno.pid}.${crypto.randomUUID().slice(0, 8)}.tmp`;
    (await Deno.open(probe, { write: true, createNew: true })).close();
    await Deno.remove(probe).catch(() => {}); // another process may have swept it
    await sweepTemporaryFiles(`${real}/`);
  } catch (error) {
    throw new UsageError(`${option} ${given}: nothing can be written there (${(error as Error).message})`);
  }
  return real === resolve(folder) ? folder : real;
}

/**
 * Makes sure that a file can be written, and makes its folder where it is not there.
 * @param option what names it in errors
 * @returns its path, without symbolic links on its way
 * @throws UsageError that says what would do.
 */
export async function requireFile(option: string, file: string): Promise<string> {
  if (/[/\\]$/.test(file) || await Deno.stat(file).then((s) => s.isDirectory, () => false)) {
    throw new UsageError(`${option} ${file}: that is a folder; name a file in it`);
  }
  const folder = await requireFolder(option, dirname(file), file);
  return folder === dirname(file) ? file : join(folder, basename(file));
}

/**
 * Makes sure that the task may read a folder.
 * @throws UsageError that says what would do.
 */
export async function requireReadable(option: string, folder: string): Promise<void> {
  const named = `${option} ${folder}:`;
  await requirePermission("read", named, await withoutLinks(named, folder), folder);
}
