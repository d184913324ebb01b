/** Bundles the thread that decodes pictures and embeds it: `deno task build:worker`; `--check` only compares. */
import { fileURLToPath } from "node:url";
import { command as makeCommand, main, parse } from "./cli.ts";
import { embed } from "./embed.ts";

const ROOT = new URL("../datasets/images/", import.meta.url);
const OUT = new URL("worker.gen.ts", ROOT);

async function bundle(): Promise<string> {
  const { success, errors, outputFiles } = await Deno.bundle({
    entrypoints: [fileURLToPath(new URL("worker.ts", ROOT))],
    format: "iife",
    platform: "browser",
    minify: true,
    write: false,
  });
  if (!success || !outputFiles) throw new Error(errors.map(({ text }) => text).join("\n"));
  return outputFiles[0].text();
}

const command = makeCommand("build:worker", "Bundles the thread that decodes pictures and embeds it")
  .option("--check", "only compare it with the one that is embedded");

/** `deno task build:worker`. */
export async function buildWorker(args: string[]): Promise<number | void> {
  const { check } = parse<{ check?: boolean }>(command, args);
  const source = await bundle();
  const text = `// Built by \`deno task build:worker\` from worker.ts. Do not edit.
// deno-fmt-ignore-file
/** The text of a decoding thread, which defines \`answer\`. */
export const WORKER = ${JSON.stringify(source)};
`;
  return await embed(text, { file: OUT, task: "build:worker", sizes: `${text.length} characters` }, check);
}

if (import.meta.main) await main(buildWorker);
