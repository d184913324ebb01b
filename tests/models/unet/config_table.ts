/** The table of docs/unet.md, as the code gives it: `deno run -A tests/models/unet/config_table.ts` writes it there. */
import { unet } from "../../../mod.ts";

const DOCS = new URL("../../../docs/unet.md", import.meta.url);
const HEAD = [
  "field",
  "takes",
  "default",
  "where it counts, and beside other fields",
  "refused, besides any other value",
];

const code = (value: unknown) => `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;

/** The rows that the code gives. */
export function rowsOfCode(): string[][] {
  return unet.describeConfig().map(({ field, takes, default: usual, where, together, refused }) => [
    code(field),
    takes,
    code(JSON.stringify(usual)),
    [...where ? [where] : [], ...together.map((must) => `must be ${must}`)].join("; "),
    refused.map(code).join(", "),
  ]);
}

/** Whether a line of the docs is of the table of fields. */
const isRow = (line: string) => line.startsWith("| `");

/** The rows that the docs have. */
export async function rowsOfDocs(): Promise<string[][]> {
  const lines = (await Deno.readTextFile(DOCS)).split("\n").filter(isRow);
  return lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

if (import.meta.main) {
  const lines = (await Deno.readTextFile(DOCS)).split("\n"), first = lines.findIndex(isRow) - 2;
  const table = [HEAD, HEAD.map(() => "---"), ...rowsOfCode()].map((cells) => `| ${cells.join(" | ")} |`);
  lines.splice(first, lines.findLastIndex(isRow) + 1 - first, ...table);
  await Deno.writeTextFile(DOCS, lines.join("\n"));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", DOCS.pathname] }).output();
  Deno.exit(0);
}
