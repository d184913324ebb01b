/** Where the draws of a fit stand. */
import { assertEquals } from "@std/assert";
import { defaultGenerator, Dropout, Generator, Linear, Sequential } from "../../mod.ts";
import "../support.ts";
import { generatorsOf, noteDraws } from "../../callbacks/draws.ts";

Deno.test("noteDraws puts the shared generator and a module's own back", () => {
  const own = new Generator(3), model = new Sequential(new Linear(3, 1), new Dropout(0.5, own));
  assertEquals([...generatorsOf(model)], [defaultGenerator, own]);
  const putBack = noteDraws(model),
    before = [own.state, defaultGenerator.state];
  own.uniformArray(4);
  defaultGenerator.uniformArray(4);
  putBack();
  assertEquals([own.state, defaultGenerator.state], before);
});
