/** What is built and committed: written, or with `--check` only compared. */
import { fileURLToPath } from "node:url";
import { writeFile } from "../core/mod.ts";
import { EXIT } from "./cli.ts";

/** A file that a task builds. */
interface Embedded {
  file: URL;
  /** The task's name. */
  task: string;
  /** What is said of its sizes. */
  sizes: string;
}

/**
 * Writes a built file, or compares it.
 * @returns the exit code of failure where it is compared and differs
 */
export async function embed(
  text: string,
  { file, task, sizes }: Embedded,
  check?: boolean,
): Promise<number | void> {
  const path = fileURLToPath(file), name = path.replace(/.*[/\\]/, "");
  if (!check) {
    await writeFile(path, text);
    console.log(`${name}: ${sizes}`);
  } else if (text !== await Deno.readTextFile(file)) {
    console.error(`${name} is stale: run \`deno task ${task}\``);
    return EXIT.failure;
  } else {
    console.log(`${name} matches its source.`);
  }
}
