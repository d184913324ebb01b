/** examples/server.ts: pictures drawn on request beside fits are those drawn alone, and so are the fits. */
import { assert, assertEquals } from "@std/assert";
import { linearSchedule, Module, type Tensor, tf } from "../mod.ts";
import { drawOnRequest } from "../examples/server.ts";
import { wasmOnly } from "./support.ts";
import { serveBesideFits } from "./soak/server.ts";

// On software Vulkan it passes in minutes; beside_test has pairs there.
Deno.test(
  "200 pictures while fits run, four at once: each is right, as is each fit; memory and threads are level",
  wasmOnly,
  async () => {
    await serveBesideFits(() => true, 1); // constants of the device are there
    const { numTensors } = tf.memory();
    const report = await serveBesideFits(({ pictures, fits }) => pictures >= 200 && fits >= 3, 2);
    const { pictures, wrongPictures, wrongFits, hungUp, levels } = report;
    assertEquals([wrongPictures, wrongFits], [0, 0]);
    assert(pictures >= 200 && hungUp > 0, `${pictures} pictures, ${hungUp} hung up`);
    const threads = levels.map((level) => level.threads); // the runtime's own for files come and go
    assert(threads.at(-1)! <= threads[0] + 2, threads.join());
    // Between two fits a few samplings are under way, each with its images.
    const tensors = levels.map(({ tensors }) => tensors);
    assert(Math.max(...tensors) - Math.min(...tensors) <= 4 * 2, tensors.join());
    assertEquals(tf.memory().numTensors, numTensors);
  },
);

Deno.test({
  name:
    "a client that hangs up ends its drawing; wrong questions are answered; shutting down waits for what is drawn",
  ...wasmOnly,
  async fn() {
    let calls = 0;
    class Counts extends Module<[Tensor, number], Tensor> {
      override forward(x: Tensor): Tensor {
        calls++;
        return tf.mul(x, 0.5);
      }
    }
    const schedule = linearSchedule({ nSteps: 1000 }), slow = new Counts(), MS_A_STEP = 5;
    slow.registerForwardHook(() => {
      const until = performance.now() + MS_A_STEP; // holds the thread, as a network does
      while (performance.now() < until);
    });
    const { numTensors } = tf.memory();
    const handle = drawOnRequest({ model: slow, schedule, size: 4 });
    const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handle);
    const url = `http://127.0.0.1:${server.addr.port}`;
    const controller = new AbortController();
    const drawing = fetch(url, controller).catch(({ name }) => name);
    while (calls < 5) await new Promise((resolve) => setTimeout(resolve, 1));
    controller.abort();
    assertEquals(await drawing, "AbortError");
    let before = -1;
    for (let i = 0; i < 100 && before !== calls; i++) {
      before = calls;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert(calls < 900, `${calls} steps`);
    for (const wrong of ["?seed=-1", "?seed=x", "?n=0", "?n=17", "?seed=1.5"]) {
      const response = await fetch(url + wrong);
      assertEquals([response.status, await response.text()], [
        400,
        "seed is a whole number from 0 on, n one from 1 to 16\n",
      ]);
    }
    const last = fetch(url), begun = calls;
    while (calls === begun) await new Promise((resolve) => setTimeout(resolve, 1));
    const down = server.shutdown();
    assertEquals((await (await last).bytes()).slice(1, 4), new TextEncoder().encode("PNG"));
    await down;
    assertEquals(tf.memory().numTensors, numTensors);
  },
});
