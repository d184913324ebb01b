/** Safetensors. */
import { assertEquals, assertThrows } from "@std/assert";
import { decodeSafetensors, encodeSafetensors, HostArray } from "../../../mod.ts";
import "../../support.ts";

/** A file with this header and data. */
function file(header: unknown, data: number[] = []): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const head = new Uint8Array(8);
  new DataView(head.buffer).setBigUint64(0, BigInt(json.length), true);
  return new Uint8Array([...head, ...json, ...data]);
}
const zeros = (n: number): number[] => new Array(n).fill(0);

Deno.test("safetensors: what is written is read", () => {
  const tensors = {
    bytes: new HostArray(Uint8Array.of(1, 2, 3), [3]),
    weight: new HostArray(Float32Array.of(1.5, -2, 3, 4), [2, 2]),
    scalar: new HostArray(Int32Array.of(-7), []),
    empty: new HostArray(new Float32Array(0), [0, 4]),
  };
  const decoded = decodeSafetensors(encodeSafetensors(tensors, { note: "héllo" }));
  assertEquals(decoded.metadata, { note: "héllo" });
  for (const [name, { data, shape }] of Object.entries(tensors)) {
    assertEquals([decoded.tensors[name].shape, decoded.tensors[name].data], [shape, data]);
  }
});

Deno.test("safetensors: other dtypes become ours", () => {
  const of = (dtype: string, bytes: number[], n: number) =>
    Array.from(
      decodeSafetensors(file({ x: { dtype, shape: [n], data_offsets: [0, bytes.length] } }, bytes)).tensors.x
        .data,
    );
  assertEquals(of("F16", [0, 0x3c, 0, 0xc0, 0, 0x7c, 1, 0], 4), [1, -2, Infinity, 2 ** -24]);
  assertEquals(of("BF16", [0x80, 0x3f, 0, 0xc0], 2), [1, -2]);
  assertEquals(of("F64", [...new Uint8Array(Float64Array.of(0.5).buffer)], 1), [0.5]);
  assertEquals(of("I64", [...new Uint8Array(BigInt64Array.of(-3n).buffer)], 1), [-3]);
  assertEquals(of("BOOL", [1, 0], 2), [1, 0]);
});

Deno.test("safetensors: every damage is named", () => {
  const entry = (dtype: string, shape: unknown, from: number, to: number) => ({
    dtype,
    shape,
    data_offsets: [from, to],
  });
  const huge = new Uint8Array(8);
  new DataView(huge.buffer).setBigUint64(0, 2n ** 62n, true);
  const truncated = file({ x: entry("F32", [4], 0, 16) }, zeros(12));
  for (
    const [bytes, message] of [
      [new Uint8Array(5), "5 bytes are too few for a header"],
      [huge, "over the limit"],
      [file("{}").slice(0, 9), "truncated: its header needs 10 bytes, there are 9"],
      [file("{x"), "its header is no JSON"],
      [file("[1]"), "its header is no object"],
      [file({ a: null }), '"a" is described by null'],
      [file({ a: [1] }), '"a" is described by [1]'],
      [file({ __metadata__: { epoch: 3 } }), "its __metadata__ is not text by name"],
      [file({ __metadata__: null }), "its __metadata__ is not text by name"],
      [truncated, 'truncated: "x" ends at byte 16 of the data, there are 12'],
      [file({ x: entry("Q8", [1], 0, 1) }, [0]), '"x" has dtype Q8'],
      [file({ x: entry("F32", [2], 0, 4) }, zeros(4)), "needs 8 bytes, its range has 4"],
      [file({ x: entry("I64", [1], 0, 8) }, zeros(7).concat(1)), "does not fit in 32 bits"],
      [file({ x: entry("F32", [-1], 0, 4) }, zeros(4)), '"x" has the shape [-1]'],
      [file({ x: { dtype: "F32", shape: [1], data_offsets: [0] } }, zeros(4)), '"x" has the byte range [0]'],
      [
        file({ x: entry("F32", [1], 0, 4), y: entry("F32", [1], 0, 4) }, zeros(4)),
        'the byte range of "y" overlaps',
      ],
      [file({ x: entry("F32", [1], 0, 4), y: entry("F32", [1], 8, 12) }, zeros(12)), '"y" leaves a gap'],
      [file({ x: entry("F32", [1], 0, 4) }, zeros(6)), "2 bytes follow the last tensor"],
    ] as const
  ) {
    assertThrows(() => decodeSafetensors(bytes), Error, message);
  }
});

Deno.test("safetensors: what could not be read back is not written", () => {
  const x = new HostArray(Float32Array.of(1), [1]);
  assertThrows(() => encodeSafetensors({ __metadata__: x }), Error, 'no tensor may be called "__metadata__"');
  assertThrows(
    () => encodeSafetensors({ x }, { epoch: 3 as never }),
    Error,
    'metadata is text; "epoch" is 3',
  );
});
