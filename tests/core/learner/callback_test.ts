/** The compiler knows the names of events and phases. */
import { assert, assertEquals } from "@std/assert";
import { compile } from "../../support.ts";

const LEARNER = new URL("../../../core/learner/mod.ts", import.meta.url).href;

Deno.test("a misspelt event, a missing override and a wrong argument do not compile", async () => {
  const { said, errors } = await compile(
    `import { Callback, type Learner } from "${LEARNER}";
export class Right extends Callback { override afterBatch(learn: Learner) { console.log(learn.iter); } }
export class Misspelt extends Callback { override afterBacth(learn: Learner) { console.log(learn.iter); } }
export class Missing extends Callback { afterBatch(learn: Learner) { console.log(learn.iter); } }
export class Wrong extends Callback { override predict(batch: number) { console.log(batch); } }
`,
  );
  // Did you mean …, must have an 'override' modifier, is not assignable to the same property
  assertEquals(errors, ["3 TS4117", "4 TS4114", "5 TS2416"], said);
  assert(said.includes("Did you mean 'afterBatch'?"), said);
});
