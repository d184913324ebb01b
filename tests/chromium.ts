/** What tests in a browser share: Chromium, where it is installed, and a web server of a folder. */
import puppeteer, { type Page } from "npm:puppeteer-core@25.16.0";

/** Where Chromium is, if it is installed. */
export const chromium: string | undefined = ["chromium", "chromium-browser", "google-chrome"].map((name) => {
  const { stdout } = new Deno.Command("sh", { args: ["-c", `command -v ${name}`] }).outputSync();
  return new TextDecoder().decode(stdout).trim();
}).find(Boolean);

export type { Page };

/** Flags that give Chromium WebGPU on a processor. */
export const WEBGPU: string[] = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

/** Runs a function with a browser's page. */
export async function inPage<T>(flags: string[], f: (page: Page) => Promise<T>): Promise<T> {
  const browser = await puppeteer.launch({
    executablePath: chromium,
    // No sandbox: CI may run as root.
    args: ["--no-sandbox", "--disable-dev-shm-usage", ...flags],
  });
  try {
    return await f(await browser.newPage());
  } finally {
    await browser.close();
  }
}

/** Serves a folder without the headers of cross-origin isolation. */
export function serveFolder(dir: string): { url: string; shutdown(): Promise<void> } {
  const server = Deno.serve({ hostname: "localhost", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const path = pathname === "/" ? "/index.html" : pathname;
    const body = await Deno.readFile(dir + path).catch(() => null);
    const types: Record<string, string> = { html: "text/html", js: "text/javascript" };
    const type = types[path.split(".").at(-1)!] ?? "application/octet-stream";
    return new Response(body, { status: body ? 200 : 404, headers: { "content-type": type } });
  });
  return { url: `http://localhost:${server.addr.port}/`, shutdown: () => server.shutdown() };
}
