/** The files of `deno task score`: scores as JSON, which a later call goes on with, a table of them, and a plot. */
import * as v from "npm:valibot@1.5.0";
import { COUNT, NUMBER, parseJson, requireSchema } from "../core/mod.ts";
import { linePlot, type Point, type scores } from "../mod.ts";
import { UsageError, UserError } from "./cli.ts";
import { updateFile } from "./runs.ts";

/** What decides the scores, besides sampler, steps and seed. */
export interface ScoreFacts {
  /** The SHA-256 of the network's weights, and of the classifier's that gives the features. */
  weights: string;
  classifier: string;
  /** The SHA-256 of the images' arrays, and how many training images are compared with. */
  data: string;
  reference: number;
  /** Images of each score, and in a batch: which images are drawn depends on it. */
  n: number;
  batch: number;
  guidance: number;
  guidanceInterval: [low: number, high: number] | null;
}

/** A sampler with so many steps. */
export interface ScoreRow {
  sampler: string;
  steps: number;
  /** Evaluations of the network an image; guided ones count twice. */
  evaluations: number;
  /** To draw 64 images at once. */
  secondsFor64: number;
  /** By seed. */
  seeds: (scores.Scores & { seed: number })[];
}

/** All of a file. */
export interface ScoreReport {
  facts: ScoreFacts;
  /** For people: the network, and what computed. */
  title: string;
  device: string;
  /** The same scores of real images that are not of the reference. */
  floor: scores.Scores;
  rows: ScoreRow[];
}

const SCORES = {
  n: COUNT,
  fid: NUMBER,
  fidEqual: NUMBER,
  kid: NUMBER,
  precision: NUMBER,
  recall: NUMBER,
  accuracy: v.nullable(NUMBER),
};
const ROW: v.GenericSchema<unknown, ScoreRow> = v.strictObject({
  sampler: v.string(),
  steps: COUNT,
  evaluations: NUMBER,
  secondsFor64: NUMBER,
  seeds: v.array(v.strictObject({ seed: COUNT, ...SCORES })),
});
const REPORT: v.GenericSchema<unknown, ScoreReport> = v.strictObject({
  facts: v.strictObject({
    weights: v.string(),
    classifier: v.string(),
    data: v.string(),
    reference: COUNT,
    n: COUNT,
    batch: COUNT,
    guidance: NUMBER,
    guidanceInterval: v.nullable(v.tuple([NUMBER, NUMBER])),
  }),
  title: v.string(),
  device: v.string(),
  floor: v.strictObject(SCORES),
  rows: v.array(ROW),
});

/** What the facts are called in errors. */
const CALLED: { [K in keyof ScoreFacts]: string } = {
  weights: "of other weights",
  classifier: "by another classifier",
  data: "beside other data",
  reference: "beside another number of training images",
  n: "of another --n",
  batch: "with another --batch",
  guidance: "with another --guidance",
  guidanceInterval: "with another --guidance-interval",
};

/** Paths of the files in a folder. */
export const scoreFiles = (dir: string): Record<"json" | "table" | "plot", string> => ({
  json: `${dir}/scores.json`,
  table: `${dir}/scores.md`,
  plot: `${dir}/scores.svg`,
});

/**
 * The report to go on with; undefined where there is none.
 * @throws UsageError where its scores are of something else; UserError where the file is damaged.
 */
export async function readReport(dir: string, facts: ScoreFacts): Promise<ScoreReport | undefined> {
  const { json } = scoreFiles(dir);
  const text = await Deno.readTextFile(json).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  let report: ScoreReport;
  try {
    report = requireSchema(REPORT, parseJson(text), json);
  } catch (cause) {
    throw new UserError(`${json} holds no scores (${(cause as Error).message}): --anew replaces it`, {
      cause,
    });
  }
  for (const key of Object.keys(CALLED) as (keyof ScoreFacts)[]) {
    const [had, has] = [report.facts[key], facts[key]];
    if (String(had) === String(has)) continue;
    throw new UsageError(
      `${json} has scores ${
        CALLED[key]
      } (${had}, not ${has}): name another folder as --out, or replace them by --anew`,
    );
  }
  return report;
}

/** Mean and standard deviation (by n − 1) over the seeds. */
function spread(values: number[]): { mean: number; std: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, v) => sum + (v - mean) ** 2, 0);
  return { mean, std: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : NaN };
}

/** A mean over seeds, with their standard deviation where there are several. */
function shown(values: number[], digits: number): string {
  const { mean, std } = spread(values);
  return Number.isNaN(std) ? mean.toFixed(digits) : `${mean.toFixed(digits)} ± ${std.toFixed(digits)}`;
}

const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
const COLUMNS = [
  "sampler",
  "steps",
  "evaluations",
  "FID",
  "FID/floor",
  "n to n",
  "n to n/floor",
  "KID·1000",
  "precision",
  "recall",
  "class right",
  "s for 64",
];

/** A row of the table. */
function cells(
  [sampler, steps, evaluations, seconds]: [
    sampler: string,
    steps: string,
    evaluations: string,
    seconds: string,
  ],
  all: scores.Scores[],
  floor: scores.Scores,
): string[] {
  const mean = (of: (s: scores.Scores) => number) => spread(all.map(of)).mean;
  return [
    sampler,
    steps,
    evaluations,
    shown(all.map(({ fid }) => fid), 4),
    shown(all.map(({ fid }) => fid / floor.fid), 2),
    shown(all.map(({ fidEqual }) => fidEqual), 4),
    shown(all.map(({ fidEqual }) => fidEqual / floor.fidEqual), 2),
    shown(all.map(({ kid }) => 1000 * kid), 2),
    mean(({ precision }) => precision).toFixed(3),
    mean(({ recall }) => recall).toFixed(3),
    all.every(({ accuracy }) => accuracy !== null) ? percent(mean(({ accuracy }) => accuracy!)) : "",
    seconds,
  ];
}

/** The scores as a table of Markdown, whose columns are aligned. */
export function tableOf({ floor, rows }: ScoreReport): string {
  const lines = [
    COLUMNS,
    cells(["real test images", "", "", ""], [floor], floor),
    ...rows.filter(({ seeds }) => seeds.length).map(({ sampler, steps, evaluations, secondsFor64, seeds }) =>
      cells([sampler, `${steps}`, `${+evaluations.toFixed(2)}`, secondsFor64.toFixed(1)], seeds, floor)
    ),
  ];
  const widths = COLUMNS.map((_, c) => Math.max(...lines.map((line) => line[c].length)));
  const text = lines.map((line) => `| ${line.map((cell, c) => cell.padEnd(widths[c])).join(" | ")} |`);
  return text.toSpliced(1, 0, `| ${widths.map((w) => "-".repeat(w)).join(" | ")} |`).join("\n") + "\n";
}

/** FID over evaluations, a line a sampler. */
function plotOf({ floor, rows }: ScoreReport): Promise<string> {
  const scored = rows.filter(({ seeds }) => seeds.length).toSorted((a, b) => a.evaluations - b.evaluations);
  const series: Record<string, Point[]> = {};
  for (const { sampler, evaluations, seeds } of scored) {
    (series[sampler] ??= []).push({ x: evaluations, y: spread(seeds.map(({ fid }) => fid)).mean });
  }
  const ends = [scored[0], scored.at(-1)!].map(({ evaluations }) => ({ x: evaluations, y: floor.fid }));
  series["real test images"] = ends;
  return linePlot({ series, x: "evaluations of the network", y: "FID", yScale: "log" });
}

/** Brings the files up to date. */
export async function writeReport(dir: string, report: ScoreReport): Promise<void> {
  const { facts: { n, reference, classifier, weights, guidance, guidanceInterval }, title, device, floor } =
    report;
  const files = scoreFiles(dir),
    interval = guidanceInterval ? ` for σ from ${guidanceInterval.join(" to ")}` : "";
  const images = (n: number) => n.toLocaleString("en");
  await updateFile(files.json, JSON.stringify(report, null, 2) + "\n");
  if (!report.rows.some(({ seeds }) => seeds.length)) return;
  await updateFile(
    files.table,
    `# Scores of ${title}

${images(n)} images of each${
      floor.n === n ? "" : ` (${images(floor.n)} test images)`
    }, beside the features of ${
      images(reference)
    } training images (n to n: of as many as were drawn); guidance ${guidance}${interval}.
Where there are several seeds, mean ± standard deviation. Weights ${weights}, classifier ${classifier} (SHA-256); ${device}.

${tableOf(report)}
![FID over evaluations](scores.svg)
`,
  );
  await updateFile(files.plot, await plotOf(report));
}
