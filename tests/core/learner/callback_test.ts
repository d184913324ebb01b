/** The compiler knows the names of events and phases. */
import { assert, assertEquals } from "@std/assert";

const LEARNER = new URL("../../../core/learner/mod.ts", import.meta.url).href;

Deno.test("a misspelt event, a missing override and a wrong argument do not compile", async () => {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(
    path,
    `import { Callback, type Learner } from "${LEARNER}";
export class Right extends Callback { override afterBatch(learn: Learner) { console.log(learn.iter); } }
export class Misspelt extends Callback { override afterBacth(learn: Learner) { console.log(learn.iter); } }
export class Missing extends Callback { afterBatch(learn: Learner) { console.log(learn.iter); } }
export class Wrong extends Callback { override predict(batch: number) { console.log(batch); } }
`,
  );
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", path],
    env: { NO_COLOR: "1" },
  }).output();
  await Deno.remove(path);
  const said = new TextDecoder().decode(stderr);
  const lines = Array.from(
    said.matchAll(/(TS\d+) (?:.|\n)*?\.ts:(\d+):/g),
    ([, code, line]) => `${line} ${code}`,
  );
  // Did you mean …, must have an 'override' modifier, is not assignable to the same property
  assertEquals(lines, ["3 TS4117", "4 TS4114", "5 TS2416"], said);
  assert(said.includes("Did you mean 'afterBatch'?"), said);
});
