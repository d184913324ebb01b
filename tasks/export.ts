/** `deno task export`: a run as a directory that other programs read. */
import { diffusion, type MetricsRow } from "../mod.ts";
import { fromCaller } from "./caller.ts";
import { command as makeCommand, main, Option, parse, path, runName, UsageError } from "./cli.ts";
import { imagesOf } from "./data.ts";
import { type CommonOptions, startDevice, withCommonOptions } from "./device.ts";
import { chooseModel, type ChosenEdm, makeSchedule } from "./models.ts";
import { requireFolder } from "./paths.ts";
import type { TrainConfig } from "./presets.ts";
import { runFiles, tellFiles } from "./runs.ts";
import { parseMetrics } from "./schemas.ts";

const command = withCommonOptions(
  makeCommand("export", "Writes a run as a directory that another program reads"),
)
  .argument("<run>", "the run", runName)
  .argument("<dir>", "where it goes; nothing may be in it", path)
  .addOption(
    new Option("--to <program>", "diffusers: a pipeline that DDPMPipeline.from_pretrained reads (of a DDPM)")
      .choices(["diffusers"]).default("diffusers"),
  );

/** The values of black and white in a DDPM's images. */
const RANGE: readonly [number, number] = [0, 1];

/** Why no pipeline of Diffusers draws with a network of EDM's training. */
function whyNot({ title, config }: ChosenEdm): UsageError {
  const { classes } = imagesOf(config), why: string[] = [];
  if (config.patch > 1) {
    why.push(
      `its network sees patches of ${config.patch}×${config.patch} pixels, and UNet2DModel has no patch_size`,
    );
  }
  if (classes.length > 0) why.push(`it is told ${classes.length} classes, and those pipelines give none`);
  why.push(
    "it is told xₜ scaled by σ and gives a part of x̂₀ (EDM's preconditioning), which they do not undo",
  );
  return new UsageError(
    `${title} is of EDM's training, and DDPMPipeline and DDIMPipeline cannot draw with it: ${why.join("; ")}`,
  );
}

/** The last row of each half of an epoch. */
function lastLosses(rows: readonly MetricsRow[]): [what: string, loss: number][] {
  return (["train", "eval"] as const).flatMap((half) => {
    const row = rows.findLast(({ train }) => train === half);
    return row ? [[half === "train" ? "training" : "evaluation", row.loss]] : [];
  });
}

/** What the model card says of a DDPM's run. */
export function cardOf(
  name: string,
  config: TrainConfig,
  parameters: number,
  rows: readonly MetricsRow[],
): string {
  const { size, epochs, batch, lr, steps, betaMin, betaMax, seed, limit, dataSource, dataHash } = config;
  const done = rows.filter(({ train }) => train === "train").length;
  const facts: [string, unknown][] = [
    ["images", `${size}×${size}, grey, of Fashion-MNIST${limit ? ` (the first ${limit})` : ""}`],
    ["parameters", parameters.toLocaleString("en")],
    ["diffusion steps", `${steps}, β from ${betaMin} to ${betaMax}`],
    ["epochs", `${done} of ${epochs}, batches of ${batch}, learning rate up to ${lr}`],
    ...lastLosses(rows).map(([what, loss]): [string, string] => [
      `${what} loss (mean squared error of the noise)`,
      loss.toFixed(5),
    ]),
    ["seed", seed],
    ...dataSource ? [["data", dataSource] as [string, string]] : [],
    ...dataHash ? [["SHA-256 of the data", dataHash] as [string, string]] : [],
  ];
  const text = (value: unknown) => String(value).replace(/[\\|<`]/g, "\\$&").replace(/\s/g, " ");
  return `# ${name}

A DDPM that was trained with Denoise (\`deno task train\`, preset ${config.preset}). Its images are light clothes on
black; the picture shows them dark on light.

| | |
| --- | --- |
${facts.map(([what, value]) => `| ${what} | ${text(value)} |`).join("\n")}
`;
}

/**
 * The directory to write, which is made.
 * @throws UsageError where something is in it, or nothing can be written there.
 */
async function requireEmpty(dir: string): Promise<string> {
  const real = await requireFolder("The directory", dir);
  for await (const { name } of Deno.readDir(real)) {
    throw new UsageError(`${dir} has ${name} in it: name a directory that is empty or not there`);
  }
  return real;
}

/** `deno task export`. */
export async function exportTask(args: string[]): Promise<void> {
  const { runs } = parse<CommonOptions>(command, args, ["runs"]);
  const [run, given] = command.processedArgs as [string, string];
  const chosen = await chooseModel({ run, runs });
  if (chosen.kind === "edm") throw whyNot(chosen);
  const files = runFiles(runs, run), { config } = chosen;
  const dir = await requireEmpty(fromCaller(given));
  await startDevice(command);
  const model = await chosen.load();
  const rows = await Deno.readTextFile(files.metrics).then(
    (text) => parseMetrics(text, files.metrics),
    () => [],
  );
  await diffusion.savePipeline(dir, {
    model,
    scheduler: diffusion.schedulerConfig(makeSchedule(config)),
    card: cardOf(run, config, model.parameterCount(), rows),
    picture: await Deno.readFile(files.samples).catch(() => undefined),
    range: RANGE,
  });
  model.dispose();
  await tellFiles(dir);
}

if (import.meta.main) await main(exportTask);
