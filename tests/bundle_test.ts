/** Programs of users that are bundled for Deno, and that run where there is no network. */
import { assert, assertEquals } from "@std/assert";
import { wasmOnly } from "./support.ts";
import { tinyLosses } from "./tiny.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const BINARY = "tfjs-backend-wasm-threaded-simd.wasm";
/** Trains, and draws a plot, for which Vega is loaded. */
const PROGRAM = `
  import { linePlot } from "${ROOT}mod.ts";
  import { tinyLosses } from "${ROOT}tests/tiny.ts";
  const plot = await linePlot({ series: { a: [{ x: 1, y: 2 }] }, x: "x", y: "y" });
  console.log(JSON.stringify([plot.startsWith("<svg"), ...await tinyLosses("wasm")]));`;

/** Runs deno in a folder. */
async function deno(cwd: string, args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
    signal: AbortSignal.timeout(180_000),
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, err };
}

/** A test with a folder of its own. */
function programTest(name: string, fn: (dir: string) => Promise<void>): void {
  Deno.test({
    name,
    ...wasmOnly,
    async fn() {
      const dir = await Deno.makeTempDir({ prefix: "a b " });
      try {
        await Deno.writeTextFile(`${dir}/program.ts`, PROGRAM);
        await fn(dir);
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}

programTest(
  "a bundle for Deno trains, once the binary is beside it, and says so where it is not",
  async (dir) => {
    const readme = await Deno.readTextFile(`${ROOT}README.md`);
    const [, line] = readme.match(/^deno (bundle --external .*)$/m)!;
    const names: Record<string, string> = { "train.js": "program.js", "examples/train.ts": "program.ts" };
    const args = line.split(" ").map((arg) => names[arg] ?? arg.replaceAll('"', ""));
    const bundled = await deno(dir, args);
    assertEquals(bundled.code, 0, bundled.err);
    const run = ["run", "--no-prompt", "--allow-read=.", "--allow-env", "program.js"];
    const lacking = await deno(dir, run);
    assertEquals(lacking.code, 1);
    assert(
      lacking.err.includes(
        "it is a file of the npm package @tensorflow/tfjs-backend-wasm, and belongs beside",
      ),
    );
    const binary = import.meta.resolve(`npm:@tensorflow/tfjs-backend-wasm@4.22.0/dist/${BINARY}`);
    await Deno.copyFile(new URL(binary), `${dir}/${BINARY}`);
    const { code, out, err } = await deno(dir, run);
    assertEquals(code, 0, err);
    assertEquals(JSON.parse(out), [true, ...await tinyLosses("wasm")]);
  },
);

programTest(
  "what deno install fetches is enough without a network: for the project and for a program",
  async (dir) => {
    const env = { DENO_DIR: `${dir}/cache` };
    const installed = await deno(ROOT, ["install", "--frozen"], env);
    assertEquals(installed.code, 0, installed.err);
    const nowhere = { ...env, HTTPS_PROXY: "http://127.0.0.1:9", HTTP_PROXY: "http://127.0.0.1:9" };
    const help = await deno(
      ROOT,
      ["run", "--cached-only", "--frozen", "-A", "tasks/train.ts", "--help"],
      nowhere,
    );
    assert(help.out.startsWith("Usage: deno task train"), help.err);
    const task = await deno(ROOT, ["task", "--quiet", "classify", "--help"], nowhere);
    assert(task.out.startsWith("Usage: deno task classify"), task.err);
    const lock = await Deno.readTextFile(`${ROOT}deno.lock`);
    await Deno.writeTextFile(`${dir}/deno.lock`, lock);
    const locked = ["run", "--cached-only", "-A", "--lock=deno.lock", "program.ts"];
    const { code, out, err } = await deno(dir, locked, nowhere);
    assertEquals(code, 0, err);
    assertEquals(JSON.parse(out)[0], true);
    const vegas = (await Array.fromAsync(Deno.readDir(`${dir}/cache/npm/registry.npmjs.org/vega`))).filter((
      f,
    ) => f.isDirectory);
    assertEquals(vegas.length, 1, "vega is what vega-lite resolves to");
  },
);
