/** Two copies of the library in one program: by path and by URL, of one tfjs or two. */
import { assertEquals } from "@std/assert";
import { serveTree } from "../../server.ts";
import { device, script } from "../../support.ts";

const HERE = new URL("../../../mod.ts", import.meta.url).href;
const env = { DENOISE_DEVICE: device.name, DENOISE_THREADS: "2", XDG_RUNTIME_DIR: "/tmp" };

/** Trains a little, and says what came of it. */
const TRAIN = `
  const train = async (d) => {
    const layer = new d.Conv2d(2, 3, 3, { padding: 1, generator: new d.Generator(1) });
    const optimizer = new d.Adam(layer.parameters(), { lr: 0.01 }), x = new d.Generator(2).normal([2, 6, 6, 2]);
    const losses = [];
    for (let i = 0; i < 3; i++) {
      const tape = new d.Tape();
      tape.start();
      const loss = d.F.mseLoss(d.F.silu(layer.call(x)), d.tf.ones([2, 6, 6, 3]));
      tape.stop();
      tape.backward(loss);
      optimizer.step();
      optimizer.zeroGrad();
      losses.push((await loss.data())[0]);
    }
    return losses.map((loss) => loss.toFixed(4)).join() + " " + d.ops.opsByReference(d.currentDevice().name).length;
  };
  const ask = (d) => d.useDevice(undefined, { log: null }).then(() => "started", (error) => error.message);`;

/** Whether another version of tfjs can be had: it is no part of the lock file. */
const { success: hasOther } = await new Deno.Command(Deno.execPath(), {
  args: ["eval", "--no-lock", 'await import("npm:@tensorflow/tfjs-core@4.21.0")'],
}).output();

for (
  const [versions, ignore, change] of [
    ["one tfjs", false, (text: string) => text],
    [
      "two tfjs",
      !hasOther,
      (text: string) => text.replaceAll(/(npm:@tensorflow\/tfjs-[a-z-]+)@4\.22\.0/g, "$1@4.21.0"),
    ],
  ] as const
) {
  const name =
    `a copy by path and one by URL, of ${versions}: one uses the device, the other is refused by both addresses`;
  Deno.test(name, { ignore }, async () => {
    await using server = serveTree(change);
    const { host } = server, there = `http://${host}/mod.ts`;
    const { out, err } = await script(
      `${TRAIN}
       await d.useDevice(undefined, { log: null });
       const alone = await train(d);
       const copy = await import("http://${host}/mod.ts");
       console.log(await train(d) === alone, await ask(copy));
       console.log(await train(d) === alone);
       await d.closeDevice();
       console.log(await ask(copy), await train(copy) === alone, await ask(d));
       await copy.closeDevice();
       console.log(await ask(d), await train(d) === alone);
       Deno.exit(0);`,
      env,
      ["-A", "--no-lock"],
      120_000,
    );
    const refused = (other: string, here: string) =>
      `useDevice: another copy of Denoise uses a device in this program, ${other}; this one is ${here}. Import one of them`;
    assertEquals(
      out,
      [
        `true ${refused(HERE, there)}`,
        "true",
        `started true ${refused(there, HERE)}`,
        "started true",
      ].join("\n"),
      err,
    );
  });
}
