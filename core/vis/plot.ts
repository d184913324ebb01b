/** Plots as SVG, drawn by Vega-Lite. */

/** A point of a line. */
export interface Point {
  /** Place along the x axis. */
  x: number;
  /** Place along the y axis. */
  y: number;
}

/** A line plot. */
export interface LinePlot {
  /** Lines by name. */
  series: Record<string, Point[]>;
  /** Title of the x axis. */
  x: string;
  /** Title of the y axis. */
  y: string;
  /** Above the plot; default none. */
  title?: string;
  /** Scale of the x axis; default linear. */
  xScale?: "linear" | "log";
  /** Scale of the y axis; default linear. */
  yScale?: "linear" | "log";
  /** Pixels of the axes' width, over 0; default 560. */
  width?: number;
  /** Pixels of the axes' height, over 0; default 320. */
  height?: number;
}

/**
 * Renders a Vega-Lite specification as SVG, on white unless the specification has another background.
 * @returns an SVG document
 * @throws Error as Vega-Lite does for a specification that is none.
 */
export async function renderPlot(spec: Record<string, unknown>): Promise<string> {
  const [vega, lite] = await Promise.all([
    import("npm:vega@6.4.0"),
    import("npm:vega-lite@6.4.1"),
  ]);
  const { background = "white" } = spec;
  const { spec: compiled } = lite.compile({ ...spec, background } as never);
  const view = new vega.View(vega.parse(compiled), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

/** Whether an axis of this scale has a place for the number. */
function isShown(value: number, scale: "linear" | "log"): boolean {
  return Number.isFinite(value) && (scale === "linear" || value > 0);
}

/** Lines of fewer points get them marked. */
const FEW_POINTS = 50;

/**
 * A line plot as SVG. Points that an axis has no place for (NaN; 0 on a log scale) are left out; lines of fewer than 50 points get their points marked.
 * @returns an SVG document
 * @throws RangeError for a width or height that is not over 0.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { linePlot } from "./plot.ts";
 * const svg = await linePlot({ series: { loss: [{ x: 0, y: 1 }, { x: 1, y: 0.5 }] }, x: "batch", y: "loss" });
 * assert(svg.startsWith("<svg"));
 * ```
 */
export async function linePlot(plot: LinePlot): Promise<string> {
  const { series, x, y, title, xScale = "linear", yScale = "linear", width = 560, height = 320 } = plot;
  for (const [name, side] of Object.entries({ width, height })) {
    if (!(side > 0 && side < Infinity)) throw new RangeError(`linePlot: ${name} is over 0, not ${side}`);
  }
  const values = Object.entries(series).flatMap(([name, points]) =>
    points.filter((p) => isShown(p.x, xScale) && isShown(p.y, yScale)).map((p) => ({ ...p, name }))
  );
  const few = Object.entries(series).filter(([, points]) => points.length < FEW_POINTS).map(([name]) => name);
  const encoding = {
    x: { field: "x", type: "quantitative", title: x, scale: { type: xScale, nice: false } },
    y: {
      field: "y",
      type: "quantitative",
      title: y,
      scale: yScale === "linear" ? { type: yScale, zero: false } : { type: yScale },
    },
    color: { field: "name", type: "nominal", title: null, sort: Object.keys(series) },
  };
  return await renderPlot({
    width,
    height,
    title,
    data: { values },
    layer: [
      { mark: { type: "line", strokeWidth: 1.2 }, encoding },
      {
        transform: [{ filter: { field: "name", oneOf: few } }],
        mark: { type: "point", filled: true, size: 40 },
        encoding,
      },
    ],
  });
}
