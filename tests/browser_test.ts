/** The page of examples/browser/ in headless Chromium: the bundle of mod.ts draws there what it draws under Deno. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { FASHION_MNIST_CLASSES } from "../mod.ts";
import { chromium, inPage, type Page, serveFolder, WEBGPU } from "./chromium.ts";
import { drawOfClasses, tinyLosses } from "./tiny.ts";
import { wasmOnly } from "./support.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Bundles a script with the line of the README. */
async function bundle(path: string, script: string): Promise<void> {
  const readme = await Deno.readTextFile(`${ROOT}README.md`);
  const [, line] = readme.match(/^deno (bundle .*)$/m)!;
  const args = line.split(" ").map((arg) =>
    ({ "denoise.js": path, "mod.ts": script })[arg] ?? arg.replaceAll('"', "")
  );
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
  assert(success, new TextDecoder().decode(stderr));
}

/** What the page shows once a drawing has ended: the pictures that were put on its canvas since, and its texts. */
interface Shown {
  pictures: number[][];
  isolated: boolean;
  device: string;
  status: string;
}

/** Waits until the drawing that is under way has ended. */
async function settled(page: Page): Promise<Shown> {
  const ended = `["done", "failed"].includes(document.body.dataset.state)`;
  await page.waitForFunction(ended, { timeout: 180_000 });
  return await page.evaluate(`({
    pictures: pictures.splice(0),
    isolated: crossOriginIsolated,
    device: document.getElementById("device").textContent,
    status: document.getElementById("status").textContent,
  })`) as Shown;
}

/** Opens the page, which draws at once; it keeps what is put on the canvas, and what its workers say. */
async function open(page: Page, url: string): Promise<Shown> {
  await page.evaluateOnNewDocument(`
    globalThis.pictures = [];
    globalThis.said = [];
    const { putImageData } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.putImageData = function (image, ...at) {
      pictures.push(Array.from(image.data.filter((_, i) => i % 4 === 0)));
      return putImageData.call(this, image, ...at);
    };
    globalThis.workers = 0;
    globalThis.Worker = class extends Worker {
      constructor(...args) {
        super(...args);
        workers++;
        this.addEventListener("message", ({ data }) => said.push(data));
      }
    };`);
  await page.goto(url);
  return await settled(page);
}

/** What a browser shows at an address. */
const visit = (url: string, flags: string[] = []) => inPage(flags, (page) => open(page, url));

/** Fails unless the pixels are equal but for rounding. */
function assertSame(shown: number[], expected: number[]): void {
  assertEquals(shown.length, expected.length);
  shown.forEach((v, i) => assert(Math.abs(v - expected[i]) <= 2, `pixel ${i}: ${v}, Deno's ${expected[i]}`));
}

/** Which of the pictures a picture is most like. */
function nearest(picture: number[], pictures: number[][]): number {
  const distances = pictures.map((p) => p.reduce((sum, v, i) => sum + (v - picture[i]) ** 2, 0));
  return distances.indexOf(Math.min(...distances));
}

Deno.test({
  name: "deno task browser: the page draws Deno's images, and a bundle trains",
  ignore: wasmOnly.ignore || !chromium,
  async fn(t) {
    const dir = await Deno.realPath(await Deno.makeTempDir());
    const page = `${dir}/page`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "--config", `${ROOT}deno.json`, "browser", "--out", "page", "--port", "0"],
      cwd: dir,
      env: { NO_COLOR: "1", INIT_CWD: dir },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const logged = new Response(child.stderr).text();
    const plain = serveFolder(page);
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    try {
      let text = "";
      while (!/Serving (\S+)/.test(text)) {
        const { value, done } = await reader.read();
        assert(!done, `deno task browser ended: ${text}`);
        text += value;
      }
      const url = new URL("/", text.match(/Serving (\S+)/)![1]).href; // without the device of DENOISE_DEVICE
      await t.step(
        "the server gives the page's files to this machine's pages alone, with short lines of log",
        async () => {
          const get = async (path: string, headers: Record<string, string> = {}) => {
            const response = await fetch(url + path, { headers });
            await response.body?.cancel();
            return [response.status, response.headers.get("cross-origin-embedder-policy")];
          };
          assertEquals(await get(""), [200, "require-corp"]);
          assertEquals(await get("weights/fashion_mnist_edm.safetensors"), [200, "require-corp"]);
          await Deno.writeTextFile(`${page}/other.txt`, "other");
          await Deno.symlink("/etc/hostname", `${page}/link`);
          for (const path of ["other.txt", "link", "../deno.json", "%2e%2e/deno.json", "x".repeat(5000)]) {
            assertEquals((await get(path))[0], 404, path);
          }
          const { hostname, port } = new URL(url);
          const connection = await Deno.connect({ hostname, port: Number(port) });
          await connection.write(
            new TextEncoder().encode("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
          );
          assertMatch(await new Response(connection.readable).text(), /^HTTP\/1.1 403 /);
          const again = await new Deno.Command(Deno.execPath(), {
            args: ["task", "--quiet", "browser", "--port", port],
            cwd: ROOT,
          }).output();
          assertEquals(again.code, 2);
          assertMatch(
            new TextDecoder().decode(again.stderr),
            new RegExp(`--port ${port}: it is in use; give another, or 0`),
          );
        },
      );
      await t.step(
        "isolated: threads of WASM, the steps that Deno takes, and what a person asks for",
        async () => {
          const n = 4, steps = 8, seed = 3;
          await inPage([], async (page) => {
            const first = await open(page, `${url}?n=${n}&steps=${steps}&seed=${seed}&device=wasm`);
            assertMatch(first.status, /^Drawn in/);
            assertMatch(first.device, /^wasm \([2-9]\d* threads/);
            assert(first.isolated);
            // How many steps pass between two pictures is the machine's affair.
            const expected = await drawOfClasses({ n, steps, seed });
            const shown = first.pictures.map((p) => nearest(p, expected));
            first.pictures.forEach((p, i) => assertSame(p, expected[shown[i]]));
            assertEquals([shown[0], shown.at(-1)], [0, steps - 1]);
            assert(shown.length >= 3 && shown.every((s, i) => i === 0 || s > shown[i - 1]), `steps ${shown}`);

            const names = await page.$$eval(
              "input[name=class]",
              (inputs) => inputs.map(({ value }) => value),
            );
            assertEquals(names, ["all", ...FASHION_MNIST_CLASSES]);
            await page.click("input[value=Sneaker]");
            const sneakers = (await settled(page)).pictures.at(-1)!;
            assertSame(sneakers, (await drawOfClasses({ n, steps, seed, class: 7 })).at(-1)!);

            await page.keyboard.press("ArrowRight");
            await page.focus("input[name=guidance]");
            for (let i = 0; i < 2; i++) await page.keyboard.press("ArrowRight");
            const bags = await settled(page);
            const guided = await drawOfClasses({ n, steps, seed, class: 8, guidance: 2 });
            assertSame(bags.pictures.at(-1)!, guided.at(-1)!);
            const address = new URLSearchParams(new URL(page.url()).search);
            assertEquals([address.get("class"), address.get("guidance")], ["Bag", "2"]);

            // Of two that are asked for at once only the second is drawn to its end, by the same worker.
            await page.evaluate(`said.splice(0); for (const name of ["Coat", "Shirt"]) {
            document.querySelector("input[value=" + name + "]").click();
          }`);
            const shirts = await settled(page);
            const expectedShirts = await drawOfClasses({ n, steps, seed, class: 6, guidance: 2 });
            assertSame(shirts.pictures.at(-1)!, expectedShirts.at(-1)!);
            assertEquals(await page.evaluate(`[workers, said.filter(({ done }) => done).length]`), [1, 1]);

            await page.click("button");
            const others = await settled(page);
            assert(
              String(others.pictures.at(-1)) !== String(guided.at(-1)),
              "other noise gives other pictures",
            );
            await page.$eval("input[name=n]", (input) => {
              input.value = "0";
              input.dispatchEvent(new Event("change", { bubbles: true }));
            });
            assertMatch((await settled(page)).status, /^pictures: ./);
            await page.setViewport({ width: 360, height: 740 });
            assertEquals(await page.evaluate("document.documentElement.scrollWidth"), 360);
          });
        },
      );
      await t.step("not isolated: one thread, the same picture", async () => {
        const { pictures, isolated, device } = await visit(
          `${plain.url}?n=1&steps=3&seed=5&device=wasm`,
        );
        assertMatch(device, /^wasm \(1 thread,.*cross-origin isolation/);
        assert(!isolated);
        assertSame(pictures.at(-1)!, (await drawOfClasses({ n: 1, steps: 3, seed: 5 })).at(-1)!);
      });
      await t.step("WebGPU: the same picture", async () => {
        const { pictures, device, status } = await visit(`${url}?n=1&steps=3&seed=5&device=webgpu`, WEBGPU);
        assertMatch(device, /^webgpu \(/, status);
        assertSame(pictures.at(-1)!, (await drawOfClasses({ n: 1, steps: 3, seed: 5 })).at(-1)!);
      });
      await t.step("a bundled script trains to Deno's losses, on WASM and on WebGPU", async () => {
        await bundle(`${page}/tiny.js`, "tests/tiny.ts");
        const expected = await tinyLosses("wasm");
        for (const device of ["wasm", "webgpu"]) {
          // A worker that has no address of its own.
          const source = `import("${plain.url}tiny.js").then((tiny) => tiny.tinyLosses("${device}"))
            .then(postMessage, (error) => postMessage(String(error)))`;
          const worker = `new Worker(URL.createObjectURL(new Blob([${JSON.stringify(source)}])))`;
          const losses = await inPage(WEBGPU, async (page) => {
            await page.goto(`${plain.url}main.js`);
            return await page.evaluate(`new Promise((done) => ${worker}.onmessage = (e) => done(e.data))`);
          }) as number[];
          assertEquals(losses.length, expected.length, `${losses}`);
          expected.forEach((v, i) =>
            assert(Math.abs(losses[i] / v - 1) < 0.01, `${device}: ${losses}, not ${expected}`)
          );
        }
      });
      await t.step("a wrong wish is said on the page, and another one is drawn", async () => {
        await inPage(["--disable-features=WebGPU"], async (page) => {
          const { status } = await open(page, `${url}?n=1&steps=3&device=webgpu`);
          assertMatch(status, /Device webgpu was asked for, but there is no WebGPU adapter here/);
          await page.select("select", "wasm");
          assertMatch((await settled(page)).status, /^Drawn in/);
        });
      });
    } finally {
      await reader.cancel();
      child.kill("SIGINT");
      await child.status;
      const lines = (await logged).split("\n");
      assert(lines.includes("403 GET /") && lines.every((line) => line.length <= 110), lines.join("\n"));
      await plain.shutdown();
      await Deno.remove(dir, { recursive: true });
    }
  },
});
