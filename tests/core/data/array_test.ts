/** Arrays on the host. */
import { assertEquals, assertThrows } from "@std/assert";
import { HostArray, tf } from "../../../mod.ts";
import { numbers } from "../../support.ts";

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

Deno.test("a shape is of whole numbers from 0 on, whatever their product", () => {
  for (const shape of [[-1, -3], [1.5, 2], [NaN], [3, -1, -1]]) {
    assertThrows(() => new HostArray(new Float32Array(3), shape), RangeError, `not [${shape}]`);
  }
  assertEquals(new HostArray(new Float32Array(1), []).shape, []);
});

Deno.test("arrays are copied to the device and from it: neither follows what is written to the other", async () => {
  for (const data of [Float32Array.of(1, 2), Int32Array.of(1, 2), Uint8Array.of(1, 2)]) {
    const x = new HostArray(data, [2]).toTensor();
    assertEquals(x.dtype, data instanceof Float32Array ? "float32" : "int32");
    data[0] = 9;
    assertEquals(await numbers(tf.add(x, 0)), [1, 2]);
    for (let read = 0; read < 2; read++) {
      const back = await HostArray.from(x);
      back.data[1] = 7;
      assertEquals([await numbers(x), await numbers(tf.add(x, 0))], [[1, 2], [1, 2]]);
    }
  }
  const truth = await HostArray.from(tf.tensor1d([true, false], "bool"));
  assertEquals(truth, new HostArray(Uint8Array.of(1, 0), [2]));
  const both = await HostArray.fromAll({ a: tf.ones([1]), b: tf.zeros([2, 1]) });
  assertEquals([both.a.shape, [...both.b.data]], [[1], [0, 0]]);
});
