/** JSON that is read strictly. */
import { assertEquals, assertThrows } from "@std/assert";
import { parseJson, showJson } from "../../../core/io/json.ts";
import "../../support.ts";

Deno.test("parseJson gives what JSON.parse gives", () => {
  for (
    const text of [
      "null",
      '"a\\"{b\\\\"',
      ' { "a" : [ 1 , { "a" : "a:" } , "b" ] , "b:" : { } } ',
      '{"\\\\":1,"\\"":2,"{":3}',
      `${"[".repeat(128)}${"]".repeat(128)}`,
      '{"__proto__":{"__proto__":1}}',
    ]
  ) {
    assertEquals(parseJson(text), JSON.parse(text));
  }
});

Deno.test("parseJson refuses what is no JSON, a name that an object has twice, and deep nesting", () => {
  for (
    const [text, message] of [
      ["", "Unexpected end of JSON input"],
      ["{", "JSON"],
      ['{"a":1,"a":1}', 'it has "a" twice'],
      ['[{"b":{"a":1,"\\u0061":2}}]', 'it has "a" twice'],
      ['{"a":"{","a":"}"}', 'it has "a" twice'],
      ['{"a"\n:[{"a":1}],"a" :2}', 'it has "a" twice'],
      ["[".repeat(129) + "]".repeat(129), "it is nested deeper than 128 levels"],
      ['{"a":'.repeat(1e6) + "1" + "}".repeat(1e6), "it is nested deeper than 128 levels"],
    ]
  ) {
    assertThrows(() => parseJson(text), Error, message);
  }
});

Deno.test("showJson is short, and shows what JSON lacks", () => {
  assertEquals([showJson(["a", 1]), showJson(undefined), showJson("x".repeat(1000)).length], [
    '["a",1]',
    "undefined",
    121,
  ]);
});
