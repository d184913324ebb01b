/**
 * `deno doc --lint` of our own symbols: what it says of tfjs's types, which `tf` exports, is left out. And a tag of a
 * docstring begins its line.
 */
import { ROOT } from "./caller.ts";

/** What our declarations name of tfjs's, which is documented there. */
const OTHERS = [
  "references private type 'Variable'",
  "references private type 'Tensor'",
  "import * as tf from", // the whole of tfjs, exported as `tf`
];

/** All that the package has a reference of. */
const { exports }: { exports: Record<string, string> } = JSON.parse(
  await Deno.readTextFile(`${ROOT}deno.json`),
);

const { stderr } = await new Deno.Command(Deno.execPath(), {
  args: ["doc", "--lint", ...Object.values(exports)],
  cwd: ROOT,
  env: { NO_COLOR: "1" },
}).output();
const [last, ...diagnostics] = new TextDecoder().decode(stderr).split(/^(?=error[[:])/m).reverse();
if (diagnostics.length > 0 && !/Found \d+ documentation lint error/.test(last)) throw new Error(last);

const ours = diagnostics.reverse().filter((text) =>
  text.includes(`--> ${ROOT}`) && !OTHERS.some((part) => text.includes(part))
);
for (const text of ours) {
  const [, what] = text.match(/^error\S* (.*)/)!;
  const [, place] = text.match(/--> (\S+)/)!;
  console.log(`${place.replace(ROOT, "")}: ${what}`);
}
console.log(`${ours.length} of our symbols are not documented as they should be`);

const listed = await new Deno.Command("git", {
  args: ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts"],
  cwd: ROOT,
}).output();
let misplaced = 0;
for (const path of new TextDecoder().decode(listed.stdout).trim().split("\n")) {
  const source = await Deno.readTextFile(ROOT + path).catch(() => ""); // deleted, but not yet committed
  for (const [i, line] of source.split("\n").entries()) {
    if (!/^\s*(\/\*)?\* .*\S @(param|returns?|throws|example)\b/.test(line)) continue;
    console.log(`${path}:${i + 1}: a tag begins its line`);
    misplaced++;
  }
}
Deno.exit(ours.length + misplaced ? 1 : 0);
