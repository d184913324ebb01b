/** Arrays on the host. */
import { assertThrows } from "@std/assert";
import { HostArray } from "../../../mod.ts";

Deno.test("HostArray refuses numbers that do not fill the shape, and other types", () => {
  assertThrows(
    () => new HostArray(new Float32Array(3), [2, 2]),
    Error,
    "3 numbers do not fill the shape [2,2] of 4",
  );
  for (const data of [Float64Array.of(1), [1], null]) {
    assertThrows(
      () => new HostArray(data as never, [1]),
      TypeError,
      "holds a Float32Array, Int32Array or Uint8Array",
    );
  }
});
