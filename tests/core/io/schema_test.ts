/** Values against schemas. */
import { assertEquals, assertThrows } from "@std/assert";
import * as v from "npm:valibot@1.5.0";
import { COUNT, NUMBER, recordOf, requireSchema } from "../../../core/mod.ts";
import "../../support.ts";

const SCHEMA = v.strictObject({
  epoch: COUNT,
  place: v.strictObject({ seed: COUNT, loss: NUMBER }),
  half: v.optional(v.picklist(["train", "eval"])),
  rows: v.array(recordOf(NUMBER)),
});

Deno.test("requireSchema gives what has the form of a schema as it is", () => {
  const value = { epoch: 0, place: { seed: 3, loss: NaN }, rows: [{ a: Infinity }] };
  assertEquals(requireSchema(SCHEMA, value, "x.json") === value, true);
});

Deno.test("requireSchema names each field that is not as it should be, and what would be right", () => {
  const right = { epoch: 1, place: { seed: 3, loss: 1 }, half: "train", rows: [] };
  for (
    const [value, message] of [
      [null, "x.json: it is null, not an object"],
      [3, "x.json: it is 3, not an object"],
      [{ ...right, epoch: 1.5 }, 'x.json: "epoch" is 1.5, not a whole number'],
      [{ ...right, epoch: -1 }, 'x.json: "epoch" is -1, not a number of at least 0'],
      [{ ...right, epoch: "1" }, 'x.json: "epoch" is "1", not a number'],
      [{ ...right, place: { seed: 3 } }, 'x.json: "place.loss" is missing'],
      [{ ...right, place: { seed: 3, loss: null } }, 'x.json: "place.loss" is null, not a number'],
      [{ ...right, half: "test" }, 'x.json: "half" is "test", not ("train" | "eval")'],
      [{ ...right, rows: [{}, { a: "b" }] }, 'x.json: "rows.1.a" is "b", not a number'],
      [{ ...right, rows: [[1]] }, 'x.json: "rows.0" is [1], not an object'],
      [{ ...right, rows: [{ constructor: "b" }] }, 'x.json: "rows.0.constructor" is "b", not a number'],
      [
        { ...right, rows: [JSON.parse('{"__proto__":"b"}')] },
        'x.json: "rows.0.__proto__" is "b", not a number',
      ],
      [{ ...right, epochs: 3 }, 'x.json: there is no field "epochs"'],
      [JSON.parse(`{"__proto__":1,${JSON.stringify(right).slice(1)}`), 'there is no field "__proto__"'],
      [
        { half: 0, more: 1, other: 2 },
        'x.json: "epoch" is missing; "place" is missing; "half" is 0, not ("train" | "eval"); "rows" is missing; and 1 more',
      ],
    ] as const
  ) {
    assertThrows(() => requireSchema(SCHEMA, value, "x.json"), Error, message);
  }
});
