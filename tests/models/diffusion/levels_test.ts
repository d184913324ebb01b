/** Levels of a sampling: spacings by Diffusers' numbers and by their papers. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { diffusion, linearSchedule } from "../../../mod.ts";
import "../../support.ts";

const { flow, levels, ve, vp } = diffusion;
const process = vp(linearSchedule());
const told = (n: number, options: diffusion.LevelsOptions) => levels(process, n, options).map(({ t }) => t);
const ratios = (path: diffusion.NoiseLevel[]) => path.map(({ α, σ }) => σ / α);

Deno.test("spacings of a schedule are Diffusers' (Lin et al. 2024, table 2), then there is no noise", () => {
  assertEquals(told(4, { spacing: "leading" }), [750, 500, 250, 0, 0]);
  assertEquals(told(4, { spacing: "trailing" }), [999, 749, 499, 249, 0]);
  assertEquals(told(4, { spacing: "linspace" }), [999, 666, 333, 0, 0]);
  assertEquals(told(7, { spacing: "trailing" }), [999, 856, 713, 570, 428, 285, 142, 0]);
  assertEquals(told(7, { spacing: "leading" }).slice(0, 2), [852, 710]);
  assertEquals(levels(process, 3).at(-1), { α: 1, σ: 0, t: 0 });
  assertEquals(levels(process, 4), levels(process, 4, { spacing: "trailing", final: "zero", shift: 1 }));
});

Deno.test("sigma_min: as many steps, which end at the process's least noise and no two at one level", () => {
  for (const spacing of ["leading", "linspace", "trailing", "karras", "exponential"] as const) {
    for (const process of [vp(linearSchedule()), ve(), flow()]) {
      const sigmaMax = process.times[1] === 1 ? 50 : undefined;
      const path = ratios(levels(process, 5, { spacing, final: "sigma_min", sigmaMax }));
      const { α, σ } = process.at(process.times[0]);
      assertEquals(path.length, 6);
      assert(Math.abs(path[5] * α / σ - 1) < 1e-9, `${spacing}: ${path[5]}`);
      assert(path.every((ratio, i) => i === 0 || ratio < path[i - 1]), `${spacing}: ${path}`);
    }
  }
});

Deno.test("karras: σ of EDM's equation 5; exponential: even in log σ", () => {
  const path = ratios(levels(ve(), 18, { spacing: "karras" }));
  for (let i = 0; i < 18; i++) {
    const expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7;
    assert(Math.abs(path[i] / expected - 1) < 1e-9);
  }
  assertEquals(path[18], 0);
  const even = ratios(levels(process, 5, { spacing: "exponential", sigmaMin: 0.1, sigmaMax: 10 }));
  [10, 10 ** 0.5, 1, 10 ** -0.5, 0.1].forEach((σ, i) => assert(Math.abs(even[i] / σ - 1) < 1e-9));
  const [first] = levels(process, 3, { spacing: "karras", sigmaMax: 20, rho: 3 });
  assert(Math.abs(Math.hypot(first.α, first.σ) - 1) < 1e-12 && first.t > 600);
});

Deno.test("times of a process without steps, and the shift of a flow (Esser et al. 2024, eq. 23)", () => {
  const at = (options: diffusion.LevelsOptions) => levels(flow(), 4, options).map(({ t }) => Math.round(t));
  assertEquals(at({}), [1000, 750, 500, 250, 0]);
  assertEquals(at({ spacing: "linspace" }), [1000, 667, 334, 1, 0]);
  assertEquals(at({ spacing: "leading" }), [750, 500, 250, 1, 0]);
  assertEquals(at({ shift: 3 }), [1, 0.75, 0.5, 0.25, 0].map((t) => Math.round(1000 * 3 * t / (1 + 2 * t))));
});

Deno.test("levels that there are not are refused by name", () => {
  const wrong: [make: () => unknown, message: string][] = [
    [() => levels(process, 0), "levels: n is a whole number from 1 to 1000, not 0"],
    [() => levels(process, 1001), "from 1 to 1000, not 1001"],
    [() => levels(process, 1000, { final: "sigma_min" }), "from 1 to 999, not 1000"],
    [() => levels(flow(), 1.5), "from 1 to Infinity, not 1.5"],
    [
      () => levels(process, 5, { spacing: "even" as "karras" }),
      "spacing is leading, linspace, trailing, karras or exponential, not even",
    ],
    [() => levels(process, 5, { final: "none" as "zero" }), "final is zero or sigma_min, not none"],
    [() => levels(process, 5, { shift: 0 }), "shift is over 0, not 0"],
    [() => levels(process, 5, { spacing: "karras", rho: 0 }), "rho is over 0, not 0"],
    [
      () => levels(flow(), 5, { spacing: "karras" }),
      "0 < sigmaMin ≤ sigmaMax < Infinity for karras spacing, not 0.001001001001001001 and Infinity",
    ],
    [() => levels(process, 5, { spacing: "karras", sigmaMax: 400 }), "vp: σ/α lies between"],
  ];
  for (const [make, message] of wrong) assertThrows(make, RangeError, message);
});
