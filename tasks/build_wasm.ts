/** Builds the kernel module from AssemblyScript and embeds it: `deno task build:wasm`; `--check` only compares. */
import asc from "npm:assemblyscript@0.28.20/asc";
import { command as makeCommand, main, parse } from "./cli.ts";
import { embed } from "./embed.ts";

const ROOT = new URL("../core/device/wasm/", import.meta.url);
const OUT = new URL("kernels.gen.ts", ROOT);

const OPTIONS = "--runtime stub --use abort= -O3 --converge --noAssert " +
  "--importMemory --sharedMemory --initialMemory 1 --maximumMemory 65536";

/** A source file; AssemblyScript inlines `const` enums alone, and TypeScript does not let those be values. */
function readFile(name: string): string | null {
  try {
    return Deno.readTextFileSync(new URL(name, ROOT)).replaceAll("export enum", "export const enum");
  } catch {
    return null;
  }
}

async function build(relaxed: boolean): Promise<Uint8Array> {
  let binary: Uint8Array | undefined;
  const features = "simd,threads,bulk-memory" + (relaxed ? ",relaxed-simd" : "");
  const flags = `assembly/index.ts --outFile kernels.wasm ${OPTIONS} --enable ${features}`;
  const { error, stderr } = await asc.main(flags.split(" "), {
    readFile,
    writeFile: (name: string, contents: Uint8Array | string) => {
      if (name === "kernels.wasm") binary = contents as Uint8Array;
    },
    listFiles: () => [],
  });
  if (error || !binary) throw new Error(`AssemblyScript: ${error?.message}\n${stderr}`);
  requireNoData(binary);
  return binary;
}

/** Tables of a library function would be written over tfjs's own data, whose memory the module shares. */
function requireNoData(binary: Uint8Array): void {
  const DATA = 11;
  for (let at = 8; at < binary.length;) {
    const id = binary[at++];
    let size = 0, shift = 0, byte;
    do size |= ((byte = binary[at++]) & 0x7f) << shift, shift += 7; while (byte & 0x80);
    if (id === DATA) {
      throw new Error(`The module has ${size} bytes of static data, which would overwrite tfjs's`);
    }
    at += size;
  }
}

const command = makeCommand("build:wasm", "Builds the kernel module from AssemblyScript and embeds it")
  .option("--check", "only compare it with the one that is embedded");

/** `deno task build:wasm`. */
export async function buildWasm(args: string[]): Promise<number | void> {
  const { check } = parse<{ check?: boolean }>(command, args);
  const [relaxed, simd] = [await build(true), await build(false)];
  const text = `// Built by \`deno task build:wasm\` from assembly/. Do not edit.
// deno-fmt-ignore-file
/** The kernel module with relaxed SIMD (fused multiply-add), base64. */
export const KERNELS_RELAXED = "${btoa(String.fromCharCode(...relaxed))}";
/** The kernel module with plain SIMD, base64. */
export const KERNELS_SIMD = "${btoa(String.fromCharCode(...simd))}";
`;
  const sizes = `${relaxed.length} bytes relaxed, ${simd.length} bytes plain SIMD`;
  return await embed(text, { file: OUT, task: "build:wasm", sizes }, check);
}

if (import.meta.main) await main(buildWasm);
