/** Safetensors. */
import { assert, assertEquals, assertThrows } from "@std/assert";
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
  assertEquals(decoded.metadata, { format: "pt", note: "héllo" });
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

Deno.test("safetensors: floats are rounded to F16 where asked, and take half as many bytes", () => {
  const weight = new HostArray(Float32Array.of(1 / 3, -65504, 1e-9, NaN, -Infinity, 2 ** -24), [6]);
  const tensors = { weight, label: new HostArray(Int32Array.of(70_000), [1]) };
  const bytes = encodeSafetensors(tensors, {}, { floats: "F16" });
  assertEquals(encodeSafetensors(tensors).length - bytes.length, 12);
  const decoded = decodeSafetensors(bytes).tensors;
  assertEquals([...decoded.weight.data], [0.333251953125, -65504, 0, NaN, -Infinity, 2 ** -24]);
  assertEquals(decoded.label.data, tensors.label.data);
  assert(decoded.weight.data instanceof Float32Array);
  const large = { big: new HostArray(Float32Array.of(NaN, 7e4), [2]) };
  assertThrows(
    () => encodeSafetensors(large, {}, { floats: "F16" }),
    Error,
    '"big" has 70000; F16 holds up to',
  );
  assertThrows(() => encodeSafetensors(large, {}, { floats: "F8" as never }), RangeError, "not F8");
});

/** What a header says of a tensor. */
const entry = (dtype: unknown, shape: unknown, from: number, to: number) => ({
  dtype,
  shape,
  data_offsets: [from, to],
});
/** A file of one byte whose header is this text with BYTE in it. */
const withByte = (json: string) => file(json.replaceAll("BYTE", JSON.stringify(entry("U8", [1], 0, 1))), [7]);

Deno.test("safetensors: what the format's own reader takes is taken", () => {
  const names = (bytes: Uint8Array) => Object.keys(decodeSafetensors(bytes).tensors);
  for (
    const [bytes, expected] of [
      [file("{}"), []],
      [withByte(' \n{"x":BYTE}'), ["x"]],
      [withByte('{"x":BYTE} \n '), ["x"]],
      [withByte('{"":BYTE}'), [""]],
      [withByte('{"\\u0000":BYTE}'), ["\0"]],
      [withByte('{"__proto__":BYTE}'), ["__proto__"]],
      [withByte('{"constructor":BYTE}'), ["constructor"]],
      [withByte('{"__metadata__":null,"x":BYTE}'), ["x"]],
      [file({ x: { ...entry("U8", [1], 0, 1), more: [[["ignored"]]] } }, [7]), ["x"]],
      [file({ x: entry("F32", [0, 4], 0, 0) }), ["x"]],
      [file({ x: entry("F32", [0, 2 ** 40, 2 ** 40], 0, 0) }), ["x"]],
      [
        file({ x: entry("F32", [0], 0, 0), z: entry("F32", [0], 0, 0), y: entry("U8", [2], 0, 2) }, [1, 2]),
        ["x", "z", "y"],
      ],
      [file({ x: entry("F32", [0], 2, 2), y: entry("U8", [2], 0, 2) }, [1, 2]), ["x", "y"]],
    ] as const
  ) {
    assertEquals(names(bytes), [...expected]);
  }
  const { tensors, metadata } = decodeSafetensors(
    withByte('{"__proto__":BYTE,"__metadata__":{"__proto__":"a"}}'),
  );
  assertEquals([Object.keys(metadata), [...tensors["__proto__"].data]], [["__proto__"], [7]]);
  assertEquals([Object.getPrototypeOf(tensors), Object.getPrototypeOf(metadata)], [null, null]);
});

Deno.test("safetensors: every damage is named", () => {
  const huge = new Uint8Array(8);
  new DataView(huge.buffer).setBigUint64(0, 2n ** 62n, true);
  const truncated = file({ x: entry("F32", [4], 0, 16) }, zeros(12));
  const deep = (n: number) => "[".repeat(n) + "]".repeat(n);
  for (
    const [bytes, message] of [
      [new Uint8Array(5), "5 bytes are too few for a header"],
      [huge, "over the limit"],
      [new Uint8Array(8), "its header is no JSON"],
      [file("{}").slice(0, 9), "truncated: its header needs 10 bytes, there are 9"],
      [file("{x"), "its header is no JSON"],
      [file("\uFEFF{}"), "its header is no JSON"],
      [file("{}\0"), "its header is no JSON"],
      [new Uint8Array([...file("{}").slice(0, 8), 0xff, 0xfe]), "its header is no JSON"],
      [file("[1]"), "its header is no object, but [1]"],
      [file(deep(1000)), "nested deeper than 128 levels"],
      [file(`{"x":${deep(1e6)}}`), "nested deeper than 128 levels"],
      [file(`{"__metadata__":${deep(1e5)}}`), "nested deeper than 128 levels"],
      [withByte('{"x":BYTE,"y":[],"x":BYTE}'), 'it has "x" twice'],
      [withByte('{"x":BYTE, "\\u0078" : BYTE}'), 'it has "x" twice'],
      [withByte('{"__metadata__":{"a":"1","a":"2"},"x":BYTE}'), 'it has "a" twice'],
      [
        file('{"x":{"dtype":"U8","dtype":"I32","shape":[1],"data_offsets":[0,1]}}', [7]),
        'it has "dtype" twice',
      ],
      [withByte('{"a\\ud800":BYTE}'), '"a\\ud800" is no Unicode text'],
      [withByte('{"__metadata__":{"a":"\\udc00"},"x":BYTE}'), '"a" is "\\udc00"'],
      [file({ a: null }), '"a" is described by null'],
      [file({ a: [1] }), '"a" is described by [1]'],
      [file({ __metadata__: { epoch: 3 } }), 'its __metadata__ is not text by name: "epoch" is 3'],
      [file({ __metadata__: ["x"] }), 'its __metadata__ is not text by name, but ["x"]'],
      [truncated, 'truncated: "x" ends at byte 16 of the data, there are 12'],
      [file({ x: entry("Q8", [1], 0, 1) }, [0]), '"x" has dtype "Q8"; known are F32'],
      [file({ x: entry(null, [1], 0, 1) }, [0]), '"x" has dtype null'],
      [file({ x: entry("constructor", [1], 0, 1) }, [0]), '"x" has dtype "constructor"'],
      [file({ x: entry(["F32"], [1], 0, 4) }, zeros(4)), '"x" has dtype ["F32"]'],
      [file({ x: { shape: [1], data_offsets: [0, 1] } }, [0]), '"x" has dtype undefined'],
      [file({ x: entry("F32", [2], 0, 4) }, zeros(4)), "needs 8 bytes, its range has 4"],
      [file({ x: entry("I64", [1], 0, 8) }, zeros(7).concat(1)), '"x": the 64-bit number 72057594037927936'],
      [
        file({ x: entry("F64", [1], 0, 8) }, [...new Uint8Array(Float64Array.of(1e300).buffer)]),
        '"x": the 64-bit number 1e+300 is too large',
      ],
      [file({ x: entry("F32", [-1], 0, 4) }, zeros(4)), '"x" has the shape [-1]'],
      [file({ x: entry("F32", [1.5], 0, 6) }, zeros(6)), '"x" has the shape [1.5]'],
      [file({ x: entry("F32", "1", 0, 4) }, zeros(4)), '"x" has the shape "1"'],
      [
        file({ x: entry("F32", [2 ** 60, 0], 0, 0) }),
        '"x" has the shape [1152921504606847000,0]; right are whole numbers from 0 to 2^53 - 1',
      ],
      [file({ x: entry("F32", [2 ** 40, 2 ** 40, 0], 0, 0) }), "over 2^53 bytes"],
      [file({ x: entry("F32", [2 ** 52, 4], 0, 2 ** 53 - 1) }), "over 2^53 bytes"],
      [file({ x: entry("U8", [1], 0, 2 ** 53) }), '"x" has the byte range [0,9007199254740992]'],
      [file({ x: entry("U8", [1], 1, 0) }, [0]), "needs 1 bytes, its range has -1"],
      [file({ x: { dtype: "F32", shape: [1], data_offsets: [0] } }, zeros(4)), '"x" has the byte range [0]'],
      [file({ x: { dtype: "F32", shape: [1] } }, zeros(4)), '"x" has the byte range undefined'],
      [
        file({ x: entry("F32", [1], 0, 4), y: entry("F32", [1], 0, 4) }, zeros(4)),
        'the byte range of "y" overlaps',
      ],
      [file({ x: entry("F32", [0], 1, 1), y: entry("U8", [2], 0, 2) }, [1, 2]), 'range of "x" overlaps'],
      [file({ x: entry("F32", [1], 0, 4), y: entry("F32", [1], 8, 12) }, zeros(12)), '"y" leaves a gap'],
      [file({ x: entry("F32", [1], 0, 4) }, zeros(6)), "2 bytes follow the last tensor"],
      [file({ ["n".repeat(1e6)]: null }), "n…"],
    ] as const
  ) {
    const { message: got } = assertThrows(() => decodeSafetensors(bytes), Error, message);
    assert(got.startsWith("Not a valid safetensors file: ") && got.length < 500, got);
  }
});

Deno.test("safetensors: what could not be read back is not written", () => {
  const x = new HostArray(Float32Array.of(1), [1]);
  const wrong = (data: unknown, shape: unknown) => ({ x: { data, shape } as HostArray });
  for (
    const [tensors, message] of [
      [{ __metadata__: x }, 'no tensor may be called "__metadata__"'],
      [{ "a\ud800": x }, 'the tensor "a\\ud800" has a name that is no Unicode text'],
      [
        wrong(new Float64Array(1), [1]),
        'the tensor "x" must be a Float32Array, Int32Array or Uint8Array, not Float64Array',
      ],
      [wrong([1], [1]), "not Array"],
      [wrong(undefined, [1]), "not undefined"],
      [wrong(new Float32Array(3), [1.5, 2]), "whole numbers of at least 0 for a shape, not [1.5,2]"],
      [wrong(new Float32Array(1), [-1, -1]), "for a shape, not [-1,-1]"],
      [wrong(new Float32Array(1), "1"), "for a shape, not [1]"],
      [wrong(new Float32Array(1), [2]), "of shape [2] needs 2 numbers, not 1"],
    ] as const
  ) {
    const { message: got } = assertThrows(() => encodeSafetensors(tensors), Error, message);
    assert(got.startsWith("encodeSafetensors: "), got);
  }
  for (const [name, text] of [["epoch", 3], ["note", "\udc00"], ["\udc00", "x"]] as const) {
    assertThrows(() => encodeSafetensors({ x }, { [name]: text as never }), Error, "metadata is text;");
  }
  const long = "n".repeat(100_000_000);
  assertThrows(() => encodeSafetensors({ [long]: x }), Error, "over the format's 100000000");
});

Deno.test("safetensors: metadata has the format that PyTorch's libraries ask for; another may be given", () => {
  const formatOf = (metadata?: Record<string, string>) =>
    decodeSafetensors(encodeSafetensors({}, metadata)).metadata.format;
  assertEquals([formatOf(), formatOf({ a: "b" }), formatOf({ format: "np" })], ["pt", "pt", "np"]);
});
