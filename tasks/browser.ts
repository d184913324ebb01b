/** `deno task browser`: bundles the page that draws in the browser, and serves it. */
import { Hono } from "npm:hono@4.13.19";
import { serveStatic } from "npm:hono@4.13.19/deno";
import { secureHeaders } from "npm:hono@4.13.19/secure-headers";
import { writeFile } from "../core/mod.ts";
import { Command, main, number, UserError } from "./cli.ts";

const ROOT = new URL("../", import.meta.url);
/** What the page needs besides the bundle, by its place; the bundle looks for weights and binary relative to itself. */
const FILES: Record<string, string> = {
  "index.html": new URL("examples/browser/index.html", ROOT).href,
  "main.js": new URL("examples/browser/main.js", ROOT).href,
  "weights/fashion_mnist.safetensors": new URL("models/ddpm/weights/fashion_mnist.safetensors", ROOT).href,
  "tfjs-backend-wasm-threaded-simd.wasm": import.meta.resolve(
    "npm:@tensorflow/tfjs-backend-wasm@4.22.0/dist/tfjs-backend-wasm-threaded-simd.wasm",
  ),
};
const command = new Command("deno task browser")
  .description("Bundles the page of examples/browser/, and serves it")
  .option("--out <dir>", "where the page goes; any web server can serve it from there", "dist")
  .option("--port <n>", "where it is served, 0 for any", number(0, 65535, true), 8000)
  .option("--no-serve", "only write the files")
  .exitOverride()
  .showHelpAfterError("(--help tells the options)");

/** Bundles the page's worker. The one file left out is for Deno alone; a page fetches the binary beside the bundle. */
async function bundle(path: string): Promise<void> {
  const options = ["--quiet", "--platform", "browser", "--minify", "--external", "*/tfjs_binary.js"];
  const args = ["bundle", ...options, "-o", path, "examples/browser/worker.ts"];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
  if (!success) throw new UserError(`deno bundle failed: ${new TextDecoder().decode(stderr)}`);
}

await main(async () => {
  const options = command.parse(Deno.args, { from: "user" })
    .opts<{ out: string; port: number; serve: boolean }>();
  const out = options.out.replace(/\/*$/, "/");
  await Deno.mkdir(`${out}weights`, { recursive: true });
  await bundle(await Deno.realPath(out) + "/worker.js");
  for (const [name, url] of Object.entries(FILES)) {
    await writeFile(out + name, await Deno.readFile(new URL(url)));
  }
  console.log(`Wrote ${out}: worker.js, ${Object.keys(FILES).join(", ")}`);
  if (!options.serve) return;
  // Cross-origin isolation: without it a page has no memory that threads share, and WASM one thread.
  const isolation = {
    crossOriginOpenerPolicy: "same-origin",
    crossOriginEmbedderPolicy: "require-corp",
    strictTransportSecurity: false,
  };
  const app = new Hono().use(secureHeaders(isolation)).use(serveStatic({ root: out }));
  const onListen = ({ port }: { port: number }) =>
    console.log(`Serving http://localhost:${port}/ (Ctrl-C ends it)`);
  await Deno.serve({ hostname: "localhost", port: options.port, onListen }, app.fetch).finished;
});
