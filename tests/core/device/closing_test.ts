/** How a device ends: closed, with its worker, or by a fault; and that another starts anew. */
import { assertEquals, assertMatch } from "@std/assert";
import { device, script, wasmOnly } from "../../support.ts";

const env = { DENOISE_DEVICE: device.name, DENOISE_THREADS: "3", XDG_RUNTIME_DIR: "/tmp" };
const flags = ["-A", "--v8-flags=--expose-gc"];
const CONSTANT = `import { constant } from "${new URL(
  "../../../core/device/constants.ts",
  import.meta.url,
)}";`;

/** This process's threads that are workers of Deno's, and its memory in MiB. */
const COUNT = `
  const task = "/proc/self/task/", read = (path) => { try { return Deno.readTextFileSync(path); } catch { return ""; } };
  const count = () => ({
    threads: [...Deno.readDirSync(task)].filter(({ name }) => read(task + name + "/comm").startsWith("worker-")).length,
    rss: Deno.memoryUsage().rss / 2 ** 20,
  });
  /** The same, once threads have had time to end, and what nothing refers to any more has been collected. */
  const settled = async (most) => {
    for (let tries = 0; tries < 3 || tries < 100 && count().threads > most; tries++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return count();
  };`;

Deno.test("closeDevice ends it, twice does nothing, and the next call starts anew", async () => {
  const { out, err } = await script(
    `${CONSTANT}
     await d.closeDevice();
     const say = async (body) => {
       try { console.log(await body()); } catch (error) { console.log(error.message); }
     };
     await d.useDevice(undefined, { log: null });
     const x = tf.ones([3]), kept = constant("kept", () => tf.scalar(2));
     const first = d.currentDevice();
     await Promise.all([d.closeDevice(), d.closeDevice()]);
     await say(() => d.currentDevice().name);
     await say(() => tf.ones([3]));
     await say(() => x.data());
     await d.useDevice(undefined, { log: null });
     console.log(d.currentDevice() === first, d.currentDevice().name === first.name);
     await say(() => x.data());
     await say(() => tf.add(x, 1));
     await say(() => F.silu(x));
     x.dispose();
     await say(() => tf.add(tf.ones([3]), constant("kept", () => tf.scalar(5))).data());
     await say(() => F.conv2d(tf.ones([1, 4, 4, 1]), tf.ones([3, 3, 1, 1])).data());
     Deno.exit(0);`,
    env,
    flags,
  );
  const closed = "The device was closed: `await useDevice()` starts one";
  const lost = "This tensor was on a device that has been closed: its numbers are lost";
  assertEquals(
    out,
    [
      closed,
      closed,
      lost,
      "false true",
      lost,
      lost,
      lost,
      "Float32Array(3) [ 6, 6, 6 ]",
      "Float32Array(4) [ 9, 9, 9, 9 ]",
    ].join("\n"),
    err,
  );
});

Deno.test("thirty devices one after the other: threads and memory stay level, the numbers the same", async () => {
  const { out, err } = await script(
    `${COUNT}
     const x = new Float32Array(1e6).map((_, i) => i % 7), sums = new Set(), seen = [];
     for (let i = 0; i < 30; i++) {
       await d.useDevice(undefined, { log: null });
       const y = F.silu(tf.tensor1d(x)), sum = await tf.sum(y).data();
       sums.add(sum[0]);
       await d.closeDevice();
       if (i % 10 === 9) seen.push(await settled(0));
     }
     console.log(sums.size, seen[2].threads === 0, seen[2].rss - seen[0].rss < 60, JSON.stringify(seen));
     Deno.exit(0);`,
    env,
    flags,
  );
  assertMatch(out, /^1 true true/, err);
});

for (
  const [how, times, inside, outside] of [
    ["are terminated", 50, "", "worker.terminate();"],
    ["close themselves", 10, "close();", ""],
    ["close their device", 10, "await closeDevice();", "worker.terminate();"],
  ] as const
) {
  Deno.test(`${times} workers that ${how} leave no thread, and no memory`, wasmOnly, async () => {
    const core = new URL("../../../core/", import.meta.url);
    const worker = `import { tf } from "${core}tf.ts";
      import { closeDevice, useDevice } from "${core}device/device.ts";
      await useDevice("wasm", { threads: 3, log: null });
      const x = tf.ones([200, 200]);
      postMessage((await tf.matMul(x, x).data())[0]);
      ${inside}`;
    const { out, err } = await script(
      `${COUNT}
       const url = URL.createObjectURL(new Blob([${JSON.stringify(worker)}], { type: "text/javascript" }));
       const seen = [];
       for (let i = 1; i <= ${times}; i++) {
         const worker = new Worker(url, { type: "module" });
         const { data } = await new Promise((resolve) => worker.onmessage = resolve);
         if (data !== 200) throw new Error(data);
         ${outside}
         if (i % ${times / 5} === 0) seen.push(await settled(0));
       }
       console.log(seen.map(({ threads }) => threads).join(), seen[4].rss - seen[0].rss < 60, JSON.stringify(seen));
       Deno.exit(0);`,
      {},
      flags,
      240_000,
    );
    assertMatch(out, /^0,0,0,0,0 true/, err);
  });
}

Deno.test("a program that --watch reloads keeps the number of its threads", wasmOnly, async () => {
  const path = await Deno.makeTempFile({ suffix: ".ts" }), reloads = 4;
  const source = `import * as d from "${new URL("../../../mod.ts", import.meta.url)}";
    await d.useDevice("wasm", { threads: 6, log: null });
    await d.tf.matMul(d.tf.ones([200, 200]), d.tf.ones([200, 200])).data();
    ${COUNT}
    console.log((await settled(5)).threads);
    setInterval(() => {}, 1000);`;
  await Deno.writeTextFile(path, source);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", ...flags, "--watch", path],
    stdout: "piped",
    stderr: "null",
    signal: AbortSignal.timeout(180_000),
  }).spawn();
  const counts: number[] = [];
  // Again and again: the watcher may not be looking yet.
  const change = setInterval(
    () => counts.length > 0 && Deno.writeTextFileSync(path, `${source}\n// ${Date.now()}`),
    3000,
  );
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    counts.push(...text.split("\n").filter((line) => /^\d+$/.test(line)).map(Number));
    if (counts.length > reloads) break;
  }
  clearInterval(change);
  child.kill();
  await child.status;
  await Deno.remove(path);
  assertEquals(counts.slice(0, reloads + 1), Array(reloads + 1).fill(5));
});

Deno.test("a WebGPU device that is lost: an error at each use, and another starts anew", {
  ignore: device.name !== "webgpu",
}, async () => {
  const { out, err } = await script(
    `await d.useDevice(undefined, { log: null });
     const x = F.silu(tf.zeros([3])), say = (error) => console.log(error.name, error.message.replace(/ \\(.*?\\)/, ""));
     const first = d.currentGpu();
     first.device.destroy();
     await first.device.lost;
     await x.data().catch(say);
     try { F.silu(x); } catch (error) { say(error); }
     await d.useDevice(undefined, { log: null });
     console.log(d.currentGpu() !== first, d.currentGpu().failure, (await F.silu(tf.zeros([3])).data())[0]);
     await x.data().catch(say);
     Deno.exit(0);`,
    env,
    flags,
  );
  const lost =
    "DeviceError The WebGPU device was lost, and its tensors are lost; \`await useDevice()\` starts a device anew, " +
    "on which a checkpoint can be resumed";
  assertEquals(
    out.split("\n"),
    [
      lost,
      lost,
      "true null 0",
      "Error This tensor was on a device that has been closed: its numbers are lost",
    ],
    err,
  );
});

Deno.test("a thread count or device that differs: refused while tensors live, taken when none do", async () => {
  const other = device.name === "wasm" ? ', "wasm", { threads: 2 }' : ', "wasm", {}';
  const { out, err } = await script(
    `${CONSTANT}
     const use = (choice, options) => d.useDevice(choice, { ...options, log: null });
     const ask = (_, ...rest) => use(...rest).then(({ name, threads }) => name + " " + threads, (error) => error.message);
     await use();
     constant("none of the user's", () => tf.scalar(1));
     const xs = [tf.ones([3]), tf.ones([3])];
     console.log(await ask(0${other}));
     console.log((await tf.add(xs[0], xs[1]).data())[0]);
     tf.disposeVariables();
     for (const x of xs) x.dispose();
     tf.engine().startScope(); tf.engine().endScope();
     console.log(await ask(0${other}));
     await d.closeDevice();
     await use();
     tf.ones([1]);
     console.log(await ask(0, "auto", {}));
     Deno.exit(0);`,
    env,
    flags,
  );
  const [refused, two, alive, same] = out.split("\n");
  const what = device.name === "wasm"
    ? "threads: 2 was asked for, while 2 tensors live on wasm with 3 threads"
    : '"wasm" was asked for, while 2 tensors live on webgpu';
  assertEquals(
    refused,
    `useDevice: ${what}. Dispose of them before, call \`await closeDevice()\`, which loses them, or use another process`,
    err,
  );
  assertEquals([two, same], ["2", `${device.name} ${device.name === "wasm" ? 3 : 1}`], err);
  assertMatch(alive, /while 1 tensor lives on/); // the sum
});

/** Runs a script in which something goes wrong; what it says of it, and what the device does then. */
async function fault(body: string): Promise<string[]> {
  const { out, err, code } = await script(
    `import { Worker } from "node:worker_threads";
     const workers = [], { unref } = Worker.prototype;
     Worker.prototype.unref = function () { workers.push(this); return unref.call(this); };
     const ready = async () => {
       await d.useDevice("wasm", { threads: 3, log: null });
       const g = new d.Generator(1);
       return [g.normal([16, 32, 32, 16]), g.normal([3, 3, 16, 16])];
     };
     const convolve = (x, w) => F.conv2d(x, w, null, { padding: 1 });
     const [x, w] = await ready(), right = (await convolve(x, w).data()).join();
     const { pool, backend, module } = await startWasm(3);
     const place = (t, at) => backend.dataIdMap.get(t.dataId).memoryOffset = at;
     let began = performance.now();
     const name = (error) => console.log(error.name, error.message, performance.now() - began < 1000);
     try { ${body} } catch (error) { name(error); }
     try { tf.add(tf.ones([3]), 1); } catch (error) { console.log(error.message); }
     console.log(await convolve(...await ready()).data().then((y) => y.join() === right));
     Deno.exit(0);`,
    {},
    flags,
  );
  assertEquals(code, 0, err);
  return out.split("\n");
}

/** What is said where another thread met the fault before the caller's did. */
const INSTEAD = "a kernel thread died";

for (
  const [what, kernel, why, body] of [
    [
      "a pointer past the memory",
      "Conv2d",
      `(memory access out of bounds|${INSTEAD})`,
      "place(w, 0xfffffff0); convolve(x, w);",
    ],
    [
      "a pointer of which other threads' tasks reach past the memory",
      "Conv2d",
      `(memory access out of bounds|${INSTEAD})`,
      "place(x, pool.memory.buffer.byteLength - x.size * 2); convolve(x, w);",
    ],
    [
      "a kernel that traps",
      "Silu",
      `(unreachable|${INSTEAD})`,
      "const { run } = pool; pool.run = (_, n) => run.call(pool, 999, n, {}); F.silu(x);",
    ],
    ["a block freed twice", "Allocating memory", "memory access out of bounds", "module._free(12345);"],
    [
      "a thread that is ended",
      "Add",
      "a kernel thread died",
      "await workers[0].terminate(); await new Promise((resolve) => setTimeout(resolve, 100)); began = performance.now(); tf.add(x, x);",
    ],
    [
      "a thread that is ended at work",
      "Add",
      "a kernel thread died",
      "const y = tf.ones([700, 700]); workers[1].terminate(); while (performance.now() - began < 3000) tf.matMul(y, y).dispose(); " +
      "await new Promise((resolve) => setTimeout(resolve, 100)); began = performance.now(); tf.add(x, x);",
    ],
  ] as const
) {
  Deno.test(
    `${what}: an error at once that says so, the device closed, the next one right`,
    wasmOnly,
    async () => {
      const [error, after, right] = await fault(body);
      const failed = `(${kernel}|BatchMatMul) failed on wasm: ${why}`;
      assertMatch(
        error,
        RegExp(`^DeviceError ${failed}\\. The device is closed, and its tensors are lost; .* true$`),
      );
      assertMatch(
        after,
        RegExp(`^The device was closed, since ${failed}: \`await useDevice\\(\\)\` starts one$`),
      );
      assertEquals(right, "true");
    },
  );
}
