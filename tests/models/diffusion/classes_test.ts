/** Classes that training tells, and those that it drops. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { diffusion, Generator, tf } from "../../../mod.ts";
import { numbers } from "../../support.ts";

const { dropClasses } = diffusion;

Deno.test("classes become the row after the last with their probability", async () => {
  const labels = tf.tensor1d(Int32Array.from({ length: 10_000 }, (_, i) => i % 10), "int32");
  const told = await numbers(dropClasses(labels, { classes: 10, dropout: 0.25 }, new Generator(1)));
  told.forEach((label, i) => assert(label === 10 || label === i % 10));
  assertAlmostEquals(told.filter((label) => label === 10).length / told.length, 0.25, 0.02);
  for (const [dropout, none] of [[0, 0], [1, 10_000]]) {
    const all = await numbers(dropClasses(labels, { classes: 10, dropout }, new Generator(1)));
    assertEquals(all.filter((label) => label === 10).length, none);
  }
});
