/** learn.summary. */
import { assertEquals, assertMatch } from "@std/assert";
import { Conv2d, Flatten, Linear, Sequential } from "../../mod.ts";
import { imageLearner } from "../images.ts";
import "../support.ts";

Deno.test("learn.summary: shapes, parameters and MFLOP of each part by hand, and the total; nothing is learnt", async () => {
  const model = new Sequential(
    new Conv2d(1, 4, 3, { stride: 2, padding: 1 }),
    new Flatten(),
    new Linear(784, 2),
  );
  const learn = await imageLearner(model), lines: string[] = [];
  const before = await model.parameters()[0].data();
  const rows = await learn.summary((line) => lines.push(line));
  assertEquals(rows, [
    {
      module: "Conv2d",
      input: [16, 28, 28, 1],
      output: [16, 14, 14, 4],
      parameters: 40,
      mflop: (36 * 196 + 4) / 1e6,
    },
    { module: "Flatten", input: [16, 14, 14, 4], output: [16, 784], parameters: 0, mflop: 0 },
    { module: "Linear", input: [16, 784], output: [16, 2], parameters: 1570, mflop: 1570 / 1e6 },
  ]);
  assertEquals(lines.length, 5);
  assertMatch(lines[4], /^total\s+1,610\s+0\.0$/);
  assertEquals(await model.parameters()[0].data(), before);
});
