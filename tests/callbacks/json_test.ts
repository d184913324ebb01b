/** JSON that keeps numbers which are not finite. */
import { assertEquals } from "@std/assert";
import { parseJson, stringifyJson } from "../../callbacks/json.ts";
import "../support.ts";

Deno.test("stringifyJson and parseJson keep NaN and infinities, wherever they stand, and are JSON else", () => {
  const value = {
    rows: [{ loss: NaN, best: -Infinity }, { loss: Infinity }],
    name: "NaN",
    none: null,
    n: 0.5,
  };
  const text = stringifyJson(value);
  assertEquals(parseJson(text), value);
  assertEquals(JSON.parse(text).name, "NaN"); // a text stays one
  assertEquals(stringifyJson({ a: [1, null, "x"] }), JSON.stringify({ a: [1, null, "x"] }));
  assertEquals(parseJson('{"loss":null}'), { loss: null }); // as files before have it
});
