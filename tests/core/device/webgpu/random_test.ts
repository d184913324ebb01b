/** The device's random numbers over the whole counter. */
import { assert, assertEquals } from "@std/assert";
import { Generator } from "../../../../mod.ts";
import { assertClose, device, numbers } from "../../../support.ts";

const onGpu = { ignore: device.name !== "webgpu" };
const COUNTERS = [0, 2 ** 31 - 2, 2 ** 32 - 3, 2 ** 32, 2 ** 32 + 2 ** 31, 2 ** 53 - 1 - 8];

for (const counter of COUNTERS) {
  for (const seed of [0, 7, 2 ** 53 - 1]) {
    Deno.test(`numbers of seed ${seed} from counter ${counter} are the host's`, onGpu, async () => {
      const at = (draw: (g: Generator) => unknown) => {
        const g = new Generator(seed);
        g.state = { seed, counter };
        return draw(g);
      };
      const uniform = await numbers(at((g) => g.uniform([15])) as never);
      assertEquals(uniform, Array.from(at((g) => g.uniformArray(15)) as Float32Array));
      const normal = await numbers(at((g) => g.normal([15])) as never);
      await assertClose(normal, at((g) => g.normalArray(15)) as Float32Array, 1e-5);
      const whole = await numbers(at((g) => g.randint([15], -5, 1000)) as never);
      assertEquals(whole, Array.from(at((g) => g.randintArray(15, -5, 1000)) as Int32Array));
    });
  }
}

Deno.test("a million normal numbers are finite", onGpu, async () => {
  const x = await numbers(new Generator(3).normal([1 << 20]));
  assert(x.every(Number.isFinite));
});
