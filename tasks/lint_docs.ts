/** `deno doc --lint` of our own symbols: what it says of tfjs's types, which `tf` exports, is left out. */
const ROOT = new URL("../", import.meta.url).pathname;

/** Types of other packages that our declarations name; they are documented there. */
const OTHERS = ["Variable"];

const { stderr } = await new Deno.Command(Deno.execPath(), {
  args: ["doc", "--lint", "mod.ts"],
  cwd: ROOT,
  env: { NO_COLOR: "1" },
}).output();
const [last, ...diagnostics] = new TextDecoder().decode(stderr).split(/^(?=error[[:])/m).reverse();
if (diagnostics.length > 0 && !/Found \d+ documentation lint error/.test(last)) throw new Error(last);

const ours = diagnostics.reverse().filter((text) =>
  text.includes(`--> ${ROOT}`) && !OTHERS.some((name) => text.includes(`references private type '${name}'`))
);
for (const text of ours) {
  const [, what] = text.match(/^error\S* (.*)/)!;
  const [, place] = text.match(/--> (\S+)/)!;
  console.log(`${place.replace(ROOT, "")}: ${what}`);
}
console.log(`${ours.length} of our symbols are not documented as they should be`);
Deno.exit(ours.length ? 1 : 0);
