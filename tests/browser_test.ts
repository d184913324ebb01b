/** The page of examples/browser/ in headless Chromium: the bundle of mod.ts draws there what it draws under Deno. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import puppeteer, { type Page } from "npm:puppeteer-core@25.16.0";
import { Generator, imageGrid, pretrained, respace, sample } from "../mod.ts";
import { wasmOnly } from "./support.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Chromium, where it is installed. */
function findChromium(): string | undefined {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    const { stdout } = new Deno.Command("sh", { args: ["-c", `command -v ${name}`] }).outputSync();
    if (stdout.length) return new TextDecoder().decode(stdout).trim();
  }
}

const chromium = wasmOnly.ignore ? undefined : findChromium();

/** A page's worker that trains from the bundle at that address, and posts the loss before and after. */
const training = (url: string) => `
  (async () => {
    const d = await import("${url}denoise.js");
    await d.useDevice("wasm", { log: null });
    const data = await d.fashionMnist();
    const dls = d.DataLoaders.from(d.take(data.train, 192), d.take(data.test, 64), {
      batchSize: 32,
      transform: d.compose(d.toFloat(), d.normalize(0.28, 0.35)),
    });
    const model = new d.Sequential(new d.Flatten(), new d.Linear(784, 10));
    const metrics = new d.MetricsCB({ accuracy: new d.Accuracy() });
    const learn = new d.TrainLearner(model, dls, {
      ...{ lossFunc: d.F.crossEntropy, lr: 1e-2, optFunc: (params, lr) => new d.AdamW(params, { lr }) },
      cbs: [new d.DeviceCB(), metrics, new d.ProgressCB()],
    });
    await learn.fit(2);
    return metrics.rows.filter((row) => row.train === "train").map((row) => row.loss);
  })().then(postMessage, (error) => postMessage(String(error)))`;

/** Runs a function with a browser's page. */
async function inPage<T>(flags: string[], f: (page: Page) => Promise<T>): Promise<T> {
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

/** What a browser shows at an address: every picture that was put on the canvas, and the page's texts. */
function visit(url: string, flags: string[] = []) {
  return inPage(flags, async (page) => {
    await page.evaluateOnNewDocument(`
      globalThis.pictures = [];
      const { putImageData } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.putImageData = function (image, ...at) {
        pictures.push(Array.from(image.data.filter((_, i) => i % 4 === 0)));
        return putImageData.call(this, image, ...at);
      };`);
    await page.goto(url);
    const ended = `["done", "failed"].includes(document.body.dataset.state)`;
    await page.waitForFunction(ended, { timeout: 180_000 });
    const result = await page.evaluate(`({
      pictures, isolated: crossOriginIsolated,
      device: document.getElementById("device").textContent,
      status: document.getElementById("status").textContent,
    })`);
    return result as { pictures: number[][]; isolated: boolean; device: string; status: string };
  });
}

/** The pixels that Deno draws. */
async function drawn(n: number, steps: number, seed: number): Promise<number[]> {
  const { model, schedule, size } = await pretrained();
  const [images] = await sample(model, [n, size, size, 1], {
    ...{ schedule: respace(schedule, steps), generator: new Generator(seed), keep: (t) => t === 0 },
  });
  model.dispose();
  return Array.from(imageGrid(images, { scale: 2, invert: true }).data);
}

/** Fails unless the pixels are equal but for rounding. */
function assertSame(shown: number[], expected: number[]): void {
  assertEquals(shown.length, expected.length);
  shown.forEach((v, i) => assert(Math.abs(v - expected[i]) <= 2, `pixel ${i}: ${v}, Deno's ${expected[i]}`));
}

const distance = (a: number[], b: number[]) => a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0);

Deno.test({
  name: "deno task browser: the page draws Deno's images, and a bundle trains",
  ignore: !chromium,
  async fn(t) {
    const dir = await Deno.makeTempDir();
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "tasks/browser.ts", "--out", dir, "--port", "0"],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
      stdout: "piped",
    }).spawn();
    const plain = Deno.serve({ hostname: "localhost", port: 0, onListen() {} }, async (request) => {
      const { pathname } = new URL(request.url);
      const path = pathname === "/" ? "/index.html" : pathname;
      const body = await Deno.readFile(dir + path).catch(() => null);
      const types: Record<string, string> = { html: "text/html", js: "text/javascript" };
      const type = types[path.split(".").at(-1)!] ?? "application/octet-stream";
      return new Response(body, { status: body ? 200 : 404, headers: { "content-type": type } });
    });
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    try {
      let text = "";
      while (!/Serving (\S+)/.test(text)) {
        const { value, done } = await reader.read();
        assert(!done, `deno task browser ended: ${text}`);
        text += value;
      }
      const url = text.match(/Serving (\S+)/)![1];
      await t.step("isolated: threads of WASM, the picture nearer to its end at each look", async () => {
        const { pictures, isolated, device, status } = await visit(`${url}?n=4&steps=12&seed=3&device=wasm`);
        assertMatch(status, /^drawn in/);
        assertMatch(device, /^wasm \([2-9]\d* threads/);
        assert(isolated);
        const last = pictures.at(-1)!;
        assertSame(last, await drawn(4, 12, 3));
        assert(pictures.length >= 4, `${pictures.length} pictures`);
        const [first, middle] = [pictures[0], pictures.at(-2)!].map((p) => distance(p, last));
        assert(middle < first / 2, `${first}, then ${middle}`);
      });
      await t.step("not isolated: one thread, the same picture", async () => {
        const { pictures, isolated, device } = await visit(
          `http://localhost:${plain.addr.port}/?n=1&steps=3&seed=5&device=wasm`,
        );
        assertMatch(device, /^wasm \(1 thread,.*cross-origin isolation/);
        assert(!isolated);
        assertSame(pictures.at(-1)!, await drawn(1, 3, 5));
      });
      await t.step("WebGPU: the same picture", async () => {
        const { pictures, device, status } = await visit(`${url}?n=1&steps=3&seed=5&device=webgpu`, [
          ...["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
        ]);
        assertMatch(device, /^webgpu \(/, status);
        assertSame(pictures.at(-1)!, await drawn(1, 3, 5));
      });
      await t.step("training in a worker that has no address of its own", async () => {
        const losses = await inPage([], async (page) => {
          await page.goto(`${url}main.js`);
          const worker = `new Worker(URL.createObjectURL(new Blob([${JSON.stringify(training(url))}])))`;
          return await page.evaluate(`new Promise((done) => ${worker}.onmessage = (e) => done(e.data))`);
        }) as number[];
        assert(losses.length === 2 && losses[1] < 0.8 * losses[0], `${losses}`);
      });
      await t.step("a wrong wish is said on the page", async () => {
        const { status } = await visit(`${url}?n=1&steps=3&device=webgpu`, ["--disable-features=WebGPU"]);
        assertMatch(status, /Device webgpu was asked for, but there is no WebGPU adapter here/);
      });
    } finally {
      await reader.cancel();
      child.kill();
      await child.status;
      await plain.shutdown();
      await Deno.remove(dir, { recursive: true });
    }
  },
});
