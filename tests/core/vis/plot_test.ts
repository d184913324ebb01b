/** Plots. */
import { assert } from "@std/assert";
import { linePlot } from "../../../mod.ts";

Deno.test("a plot is SVG", async () => {
  const svg = await linePlot({
    series: { loss: [{ x: 0, y: 1 }, { x: 1, y: 0.5 }] },
    x: "batch",
    y: "loss",
    yScale: "log",
  });
  assert(svg.startsWith("<svg") && svg.includes("batch"));
});

Deno.test("a plot leaves out what its axes have no place for", async () => {
  const points = [NaN, Infinity, -1, 0, 1, 2].map((y, x) => ({ x: x - 1, y }));
  for (const xScale of ["linear", "log", undefined] as const) {
    for (const yScale of ["linear", "log", undefined] as const) {
      const svg = await linePlot({
        series: { loss: points },
        x: "x",
        y: "y",
        xScale,
        yScale,
        title: undefined,
      });
      assert(!/NaN|Infinity|undefined/.test(svg), `${xScale}, ${yScale}: ${svg}`);
    }
  }
});
