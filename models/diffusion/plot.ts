/** Processes drawn. */
import { renderPlot } from "../../core/mod.ts";
import type { NoiseLevel } from "./parametrisation.ts";
import type { Process } from "./process.ts";

/** Times that are drawn of a process of every time. */
const POINTS = 1000;

/** What is drawn of each level, and on what scale. */
const PANELS = [
  { name: "β", scale: "linear" },
  { name: "σ/α", scale: "log" },
  { name: "ᾱ", scale: "linear" },
  { name: "SNR", scale: "log" },
] as const;

/** Levels at times from the least to the most. */
function path({ steps, times: [least, most], at }: Process): NoiseLevel[] {
  const n = steps ?? POINTS;
  return Array.from({ length: n }, (_, i) => at(n > 1 ? least + (most - least) * i / (n - 1) : most));
}

/** The share of the image's variance at a level. */
const shareOf = ({ α, σ }: NoiseLevel): number => α ** 2 / (α ** 2 + σ ** 2);

/** A point of each panel for each level. */
function points(name: string, process: Process) {
  const levels = path(process);
  return levels.flatMap((level, i) => {
    const ᾱ = shareOf(level), before = i > 0 ? shareOf(levels[i - 1]) : 1;
    const drawn = { "β": 1 - ᾱ / before, "σ/α": level.σ / level.α, "ᾱ": ᾱ, "SNR": (level.α / level.σ) ** 2 };
    const x = levels.length > 1 ? i / (levels.length - 1) : 1;
    return Object.entries(drawn).map(([panel, y]) => ({ name, panel, x, y }));
  });
}

/**
 * Draws processes as SVG: β, σ/α, ᾱ and the signal-to-noise ratio over the share of their time (miniai notebook 15, for
 * many). ᾱ is the image's share of the variance, and β what each step takes of it.
 * @param processes by name, or one
 * @throws RangeError if there is none.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, linearSchedule } from "../../mod.ts";
 * const svg = await diffusion.plotSchedule({
 *   linear: diffusion.vp(linearSchedule()),
 *   cosine: diffusion.vp(diffusion.cosineSchedule()),
 * });
 * assert(svg.startsWith("<svg"));
 * ```
 */
export function plotSchedule(processes: Process | Record<string, Process>): Promise<string> {
  const named = isProcess(processes) ? { "": processes } : processes;
  const names = Object.keys(named);
  if (names.length === 0) throw new RangeError("plotSchedule: there is no process to draw");
  const values = Object.entries(named).flatMap(([name, process]) => points(name, process));
  const panels = PANELS.map(({ name, scale }) => ({
    width: 280,
    height: 180,
    transform: [{ filter: { field: "panel", equal: name } }, ...onLog(scale)],
    mark: { type: "line", strokeWidth: 1.2 },
    encoding: {
      x: { field: "x", type: "quantitative", title: "share of the time" },
      y: { field: "y", type: "quantitative", title: name, scale: { type: scale } },
      color: {
        field: "name",
        type: "nominal",
        title: null,
        sort: names,
        legend: names.length > 1 ? {} : null,
      },
    },
  }));
  return renderPlot({ data: { values }, concat: panels, columns: 2 });
}

/** Leaves out what a log scale has no place for. */
function onLog(scale: "linear" | "log") {
  return scale === "log" ? [{ filter: "isFinite(datum.y) && datum.y > 0" }] : [];
}

/** Whether it is one process and not many by name. */
function isProcess(x: Process | Record<string, Process>): x is Process {
  return typeof x.at === "function";
}
