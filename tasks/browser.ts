/** `deno task browser`: bundles the page that draws in the browser, and serves it. */
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { Hono } from "npm:hono@4.13.19";
import { secureHeaders } from "npm:hono@4.13.19/secure-headers";
import { writeFile } from "../core/mod.ts";
import { type DeviceChoice, diffusion } from "../mod.ts";
import { command as makeCommand, main, parse, path, UsageError, UserError, whole } from "./cli.ts";
import { deviceOption } from "./device.ts";
import { requireFolder } from "./paths.ts";
import { endOnStop } from "./stop.ts";

const ROOT = new URL("../", import.meta.url);
const BUNDLE = "worker.js";
/** What the page draws with. */
const { edm: { weights: WEIGHTS } } = diffusion.PRETRAINED;
/** What the page needs besides the bundle, by its place; the bundle looks for weights and binary relative to itself. */
const FILES: Record<string, string> = {
  "index.html": new URL("examples/browser/index.html", ROOT).href,
  "main.js": new URL("examples/browser/main.js", ROOT).href,
  [`weights/${basename(WEIGHTS.href)}`]: WEIGHTS.href,
  "tfjs-backend-wasm-threaded-simd.wasm": import.meta.resolve(
    "npm:@tensorflow/tfjs-backend-wasm@4.22.0/dist/tfjs-backend-wasm-threaded-simd.wasm",
  ),
};
const TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  wasm: "application/wasm",
};
/** Cross-origin isolation: without it a page has no memory that threads share, and WASM one thread. */
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};
/** Characters of a request in the log. */
const MAX_LOGGED = 100;

const command = makeCommand("browser", "Bundles the page of examples/browser/, and serves it")
  .option("--out <dir>", "where the page goes; any web server can serve it from there", path, "dist")
  .option("--port <n>", "where it is served, 0 for any", whole(0, 65_535), 8000)
  .option("--no-serve", "only write the files")
  .addOption(deviceOption("what the page begins with: auto, webgpu or wasm"));

interface Options {
  out: string;
  port: number;
  serve: boolean;
  device?: DeviceChoice;
}

/**
 * The page's worker in one file. The module left out is for Deno alone; a page fetches the binary beside the bundle.
 * @throws Error that says why, where it cannot be bundled; UserError where Deno has not its bundler.
 */
async function bundle(): Promise<Uint8Array> {
  const { success, errors, outputFiles } = await Deno.bundle({
    entrypoints: [fileURLToPath(new URL("examples/browser/worker.ts", ROOT))],
    platform: "browser",
    minify: true,
    external: ["*/tfjs_binary.js"],
    write: false,
  }).catch((cause: Error) => {
    if (!cause.message.includes("esbuild")) throw cause;
    throw new UserError(
      "Deno has not its bundler, esbuild, which it fetches from npm the first time that it bundles: " +
        `call \`deno task browser\` once with a network, then it needs none (${cause.message})`,
      { cause },
    );
  });
  if (success) return outputFiles![0].contents!;
  throw new Error(`The page could not be bundled: ${errors.map(({ text }) => text).join("; ")}`);
}

/** @throws UsageError if nothing can listen at a port. */
function requirePort(port: number): void {
  try {
    Deno.listen({ hostname: "localhost", port }).close();
  } catch (error) {
    const why = error instanceof Deno.errors.AddrInUse ? "it is in use" : (error as Error).message;
    throw new UsageError(`--port ${port}: ${why}; give another, or 0 for any that is free`);
  }
}

/**
 * A server of these files and nothing else, to pages of this machine: a name that some other site has pointed at it is
 * refused. Each request is a line of the log.
 */
function makeServer(files: Map<string, Uint8Array>): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    const { req: { method, path }, res: { status } } = context, line = `${status} ${method} ${path}`;
    console.error(line.length > MAX_LOGGED ? `${line.slice(0, MAX_LOGGED)}…` : line);
  });
  app.use(secureHeaders({ strictTransportSecurity: false }));
  app.use(async (context, next) => {
    const host = context.req.header("host")?.replace(/:\d+$/, "");
    if (!["localhost", "127.0.0.1", "[::1]"].includes(host ?? "")) {
      return context.text("This server is for http://localhost alone\n", 403);
    }
    await next();
  });
  app.get("*", ({ req, body, notFound }) => {
    const name = req.path.slice(1) || "index.html", file = files.get(name);
    if (!file) return notFound();
    const type = TYPES[name.split(".").at(-1)!] ?? "application/octet-stream";
    return body(file as Uint8Array<ArrayBuffer>, 200, { "Content-Type": type, ...ISOLATION });
  });
  return app;
}

/** `deno task browser`. */
export async function browser(args: string[]): Promise<void> {
  const options = parse<Options>(command, args, ["out"]);
  const out = await requireFolder("--out", options.out);
  if (options.serve) requirePort(options.port);
  await requireFolder("--out", `${out}/weights`);
  const files = new Map([[BUNDLE, await bundle()]]);
  for (const [name, url] of Object.entries(FILES)) files.set(name, await Deno.readFile(new URL(url)));
  for (const [name, bytes] of files) await writeFile(`${out}/${name}`, bytes);
  console.log(`Wrote ${out}: ${[...files.keys()].join(", ")}`);
  if (!options.serve) {
    const headers = Object.entries(ISOLATION).map(([name, value]) => `${name}: ${value}`).join(", ");
    console.log(`For threads the server of it must send: ${headers}`);
    return;
  }
  const query = options.device === undefined ? "" : `?device=${options.device}`;
  const onListen = ({ port }: { port: number }) =>
    console.log(`Serving http://localhost:${port}/${query} (Ctrl-C ends it)`);
  await endOnStop(() => `Stopped; ${out} holds the page`);
  await Deno.serve({ hostname: "localhost", port: options.port, onListen }, makeServer(files).fetch).finished;
}

if (import.meta.main) await main(browser);
