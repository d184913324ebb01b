/** Plots. */
import { assert, assertRejects } from "@std/assert";
import { type LinePlot, linePlot, renderPlot } from "../../../mod.ts";

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

Deno.test("renderPlot: on white unless told otherwise, and what is no specification is refused", async () => {
  const spec = {
    data: { values: [{ a: 1 }] },
    mark: "point",
    encoding: { x: { field: "a", type: "quantitative" } },
  };
  assert((await renderPlot(spec)).includes('fill="white"'));
  assert((await renderPlot({ ...spec, background: undefined })).includes('fill="white"'));
  assert((await renderPlot({ ...spec, background: "#123456" })).includes('fill="#123456"'));
  await assertRejects(() => renderPlot({}), Error, "Invalid specification");
});

Deno.test("a plot of no lines, and of a line without points, has axes alone", async () => {
  const none: LinePlot["series"][] = [{}, { loss: [] }];
  for (const series of none) {
    const svg = await linePlot({ series, x: "x", y: "y" });
    assert(svg.startsWith("<svg") && !svg.includes("NaN"), svg);
  }
});

Deno.test("a plot's options have their defaults where undefined; sides that are none are refused", async () => {
  const plot = { series: { loss: [{ x: 0, y: 1 }, { x: 1, y: 2 }] }, x: "x", y: "y" };
  const left = {
    title: undefined,
    xScale: undefined,
    yScale: undefined,
    width: undefined,
    height: undefined,
  };
  assert(await linePlot({ ...plot, ...left }) === await linePlot(plot));
  for (const side of [0, -1, NaN, Infinity]) {
    await assertRejects(
      () => linePlot({ ...plot, width: side }),
      RangeError,
      `linePlot: width is over 0, not ${side}`,
    );
    await assertRejects(
      () => linePlot({ ...plot, height: side }),
      RangeError,
      `height is over 0, not ${side}`,
    );
  }
});
