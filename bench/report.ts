/** The figures as a table. */
import { type Case, cost } from "./cases.ts";
import type { Peaks } from "./peaks.ts";

/** A case's median times by side, such as "ours 2", "torch 2", "stock 1". */
export interface Row {
  title: string;
  case: Case;
  ms: Record<string, number>;
}

/** A whole run. */
export interface Report {
  cpu: string;
  threads: number;
  simd: string;
  /** Names of the peers that took part. */
  peers: string[];
  peak: Peaks;
  rows: Row[];
  /** Peak resident memory in MiB, by side. */
  memory: { title: string; ours: number; torch?: number }[];
}

const HEAD = [
  "case",
  "ours",
  "rate",
  "limit",
  "of limit",
  "threads ×",
  "PyTorch",
  "× PyTorch",
  "× passive",
  "× tfjs",
];

/** The cells of a row: times and ratios with all threads, rates beside the roof that limits them. */
function cells({ peak, threads }: Report, { title, case: c, ms }: Row): string[] {
  const [ours, torch, passive] = ["ours", "torch", "passive"].map((side) => ms[`${side} ${threads}`]);
  const [one, stock] = [ms["ours 1"], ms["stock 1"]];
  const work = cost(c);
  let rate = "", limit = "", share = "";
  if (work) {
    const compute = work.flops / peak.gflops[threads], memory = work.bytes / peak.gbytes[threads];
    const byFlops = compute > memory;
    rate = byFlops
      ? `${(work.flops / ours / 1e6).toFixed(1)} GFLOP/s`
      : `${(work.bytes / ours / 1e6).toFixed(1)} GB/s`;
    limit = byFlops ? "tile" : "memory";
    share = (Math.max(compute, memory) / 1e6 / ours).toFixed(2);
  } else if (c.part === "step" || c.kind === "data") {
    rate = `${(1000 * Number(c.n) / ours).toFixed(1)} images/s`;
  } else rate = `${(1000 / ours).toFixed(2)} steps/s`;
  const time = (t: number | undefined) =>
    t === undefined ? "" : t < 10 ? `${t.toFixed(3)} ms` : `${t.toFixed(1)} ms`;
  const ratio = (t: number | undefined) => t === undefined ? "" : (t / ours).toFixed(2);
  return [
    title,
    time(ours),
    rate,
    limit,
    share,
    (one / ours).toFixed(2),
    time(torch),
    ratio(torch),
    ratio(passive),
    ratio(stock),
  ];
}

const WIDTHS = [52, 11, 16, 7, 9, 10, 11, 10, 10, 8];
const line = (row: string[]) => row.map((c, i) => i ? c.padStart(WIDTHS[i]) : c.padEnd(WIDTHS[0])).join("");

/** A row for the terminal, with the head before the first. */
export function table(report: Report, row: Row): string {
  const first = report.rows[0] === row;
  return (first ? `${line(HEAD)}\n` : "") + line(cells(report, row));
}

/** The whole table for the README. */
export function markdown(report: Report): string {
  const { peak, threads } = report;
  const rates = (r: Record<number, number>, unit: string) =>
    Object.entries(r).map(([n, v]) => `${v.toFixed(1)} ${unit} on ${n} thread${n === "1" ? "" : "s"}`).join(
      ", ",
    );
  const waits = report.rows.map(({ ms }) => [ms[`torch ${threads}`], ms[`passive ${threads}`]])
    .filter(([torch, passive]) => torch !== undefined && passive !== undefined);
  const faster = waits.filter(([torch, passive]) => passive < torch).length;
  const rows = [HEAD, HEAD.map((_, i) => i ? "--:" : ":--"), ...report.rows.map((r) => cells(report, r))];
  return [
    "",
    `${report.cpu}, ${threads} threads, ${report.simd} SIMD; peers: ${report.peers.join("; ") || "none"}.`,
    "",
    `Roofs in the same run: tile ${rates(peak.gflops, "GFLOP/s")}; memory ${rates(peak.gbytes, "GB/s")}.`,
    "",
    waits.length ? `PyTorch was faster with passive waiting in ${faster} of ${waits.length} cases.\n` : "",
    ...rows.map((r) => `| ${r.join(" | ")} |`),
    "",
    ...report.memory.map((m) =>
      `- ${m.title}: peak resident memory ${m.ours} MiB` +
      (m.torch === undefined ? "" : `, PyTorch's ${m.torch} MiB`)
    ),
    "",
    "",
  ].join("\n");
}

/** The first cell of a table's row, or what a line of memory is of. */
const subject = (line: string) => line.match(/^\| (.*?) +\||^- (.*?): peak/)?.slice(1).find(Boolean);

/** A table of the README in which the rows that another table has too are that one's; new ones stand at its end. */
export function mergeRows(old: string, other: string): string {
  const isRow = (line: string) => subject(line) !== undefined && !/^\| (case|:?--)/.test(line);
  const fresh = new Map(other.split("\n").filter(isRow).map((line) => [subject(line)!, line]));
  const lines = old.split("\n").map((line) => {
    const key = subject(line), replacement = isRow(line) ? fresh.get(key!) : undefined;
    if (replacement) fresh.delete(key!);
    return replacement ?? line;
  });
  for (const line of fresh.values()) {
    const last = lines.findLastIndex((other) => other.startsWith(line.slice(0, 2)));
    lines.splice(last + 1, 0, line);
  }
  return lines.join("\n");
}
