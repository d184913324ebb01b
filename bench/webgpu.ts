/** What a training step costs a GPU with our kernels, beside the same step of tfjs's own. */
import { fileURLToPath } from "node:url";
import type { Case } from "./cases.ts";
import type { KernelCost, StepCost } from "./webgpu_step.ts";

/** Both sides of a case. */
export interface GpuRow {
  title: string;
  case: Case;
  ours: StepCost;
  stock?: StepCost;
}

/**
 * Measures a side in a process of its own.
 * @throws Error with what it printed, if it fails.
 */
export async function stepCost(side: "ours" | "stock", c: Case): Promise<StepCost> {
  const program = fileURLToPath(new URL("webgpu_step.ts", import.meta.url));
  const args = ["run", "--no-prompt", "--allow-read", "--allow-env", program, side, JSON.stringify(c)];
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  // A software driver may end with a signal after all is done: what counts is the figures.
  if (!out) throw new Error(`The step of ${side} failed: ${err.trim()}`);
  return JSON.parse(out);
}

const NONE: KernelCost = { dispatches: 0, bytes: 0 };
const MB = 1e6;

/** The sum of all kernels. */
export function whole({ kernels }: StepCost): KernelCost {
  return Object.values(kernels).reduce((sum, k) => ({
    dispatches: sum.dispatches + k.dispatches,
    bytes: sum.bytes + k.bytes,
    ms: k.ms === undefined ? sum.ms : (sum.ms ?? 0) + k.ms,
  }), NONE);
}

const HEAD = ["", "ours", "stock tfjs", "ours / stock"];
type Line = [what: string, ours: string, stock: string, ratio: string];

/** A line of two numbers; empty where a side has none. */
function compare(what: string, ours?: number, stock?: number, digits = 0): Line {
  const text = (n?: number) => n === undefined ? "" : n.toFixed(digits);
  return [what, text(ours), text(stock), ours !== undefined && stock ? (ours / stock).toFixed(2) : ""];
}

/** The lines of a case: totals, then the kernels by what they cost stock tfjs, the costliest first. */
function lines({ ours, stock }: GpuRow): Line[] {
  const [a, b] = [whole(ours), stock && whole(stock)];
  const totals = [
    compare("dispatches", a.dispatches, b?.dispatches),
    compare("MB read and written", a.bytes / MB, b && b.bytes / MB, 1),
    compare("MB of new tensors", ours.allocated / MB, stock && stock.allocated / MB, 1),
    compare("MB of buffers held", ours.held / MB, stock && stock.held / MB, 1),
    compare("uploads", ours.uploads, stock?.uploads),
    compare("bytes uploaded", ours.uploaded, stock?.uploaded),
    compare("µs of the program a dispatch", ours.program, stock?.program, 1),
    compare("shaders compiled by the first step", ours.compilations[0], stock?.compilations[0]),
    compare("shaders compiled by a later one", ours.compilations[1], stock?.compilations[1]),
    compare("ms of the device, all kernels", a.ms, b?.ms, 1),
  ];
  const names = new Set([...Object.keys(stock?.kernels ?? {}), ...Object.keys(ours.kernels)]);
  const cost = (name: string) => {
    const k = (stock ?? ours).kernels[name] ?? NONE;
    return k.ms ?? k.bytes;
  };
  const kernels = [...names].toSorted((x, y) => cost(y) - cost(x)).flatMap((name) => {
    const x = ours.kernels[name] ?? NONE, y = stock && (stock.kernels[name] ?? NONE);
    const size = (k?: KernelCost) => k && k.bytes / MB;
    const compared = [
      compare(`${name}: dispatches`, x.dispatches, y?.dispatches),
      compare(`${name}: MB`, size(x), size(y), 2),
    ];
    if (a.ms !== undefined) compared.push(compare(`${name}: ms`, x.ms ?? 0, y && (y.ms ?? 0), 2));
    return compared;
  });
  return [...totals, ...kernels];
}

/** A case for the terminal. */
export function gpuTable(row: GpuRow): string {
  const text = [HEAD as Line, ...lines(row)].map(([what, ...cells]) =>
    what.padEnd(44) + cells.map((cell) => cell.padStart(14)).join("")
  );
  return [`${row.title}, on ${row.ours.adapter}`, ...text].join("\n");
}

/** All cases for the README: the totals, and for each kernel dispatches, MB and ms as "ours, stock's". */
export function gpuMarkdown(rows: GpuRow[]): string {
  const table = (head: string[], body: string[][]) =>
    [head, head.map((_, i) => i ? "--:" : ":--"), ...body].map((r) => `| ${r.join(" | ")} |`).join("\n");
  return rows.map((row) => {
    const all = lines(row), first = all.findIndex(([what]) => what.includes(": "));
    const kernels: Record<string, string[]> = {};
    for (const [what, ours, stock] of all.slice(first)) {
      const name = what.slice(0, what.indexOf(":"));
      (kernels[name] ??= []).push(ours, stock);
    }
    const head = ["kernel", "dispatches", "stock", "MB", "stock", "ms", "stock"];
    const width = Math.max(...Object.values(kernels).map((cells) => cells.length));
    return [
      `\n${row.title}, on ${row.ours.adapter}:\n`,
      table(HEAD, all.slice(0, first)),
      "",
      table(head.slice(0, width + 1), Object.entries(kernels).map(([name, cells]) => [name, ...cells])),
      "\n",
    ].join("\n");
  }).join("\n");
}

/** The cases of {@link gpuMarkdown} in which those that another text has too are that one's; new ones stand at its end. */
export function mergeSections(old: string, other: string): string {
  const sections = (text: string) =>
    new Map(
      text.split(/(?=^[^|\n].*, on .*:$)/m).filter((s) => s.trim()).map((
        s,
      ) => [s.slice(0, s.indexOf(", on ")), s]),
    );
  return `\n${
    [...new Map([...sections(old), ...sections(other)]).values()].map((s) => s.trim()).join("\n\n")
  }\n\n`;
}
