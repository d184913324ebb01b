/** Safetensors and weights. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { writeFile } from "../../core/mod.ts";
import {
  BatchNorm2d,
  Conv2d,
  decodeSafetensors,
  encodeSafetensors,
  HostArray,
  Linear,
  loadWeights,
  saveWeights,
  Sequential,
  toTorch,
  UNet2DModel,
} from "../../mod.ts";
import { numbers } from "../support.ts";

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
  for (const data of [Float64Array.of(1), [1], null]) {
    assertThrows(
      () => new HostArray(data as never, [1]),
      TypeError,
      "holds a Float32Array, Int32Array or Uint8Array",
    );
  }
});

Deno.test("weights: PyTorch's layout in the file, ours in the model, and a misfit is named", async () => {
  const dir = await Deno.makeTempDir();
  const make = () => new Sequential(new Conv2d(2, 3, 3), new Linear(4, 5));
  const a = make(), b = make();
  await saveWeights(a, `${dir}/a.safetensors`, { made: "here" });
  const { tensors, metadata } = decodeSafetensors(await Deno.readFile(`${dir}/a.safetensors`));
  assertEquals([tensors["0.weight"].shape, tensors["1.weight"].shape, metadata], [[3, 2, 3, 3], [5, 4], {
    made: "here",
  }]);
  const ours = await numbers((a.layers[0] as Conv2d).weight);
  assertEquals(tensors["0.weight"].data[((1 * 2 + 0) * 3 + 2) * 3 + 1], ours[((2 * 3 + 1) * 2 + 0) * 3 + 1]);
  await loadWeights(b, `${dir}/a.safetensors`);
  assertEquals(await toTorch(b.stateDict()), await toTorch(a.stateDict()));
  await assertRejects(
    () => loadWeights(new Linear(1, 1), `${dir}/a.safetensors`),
    Error,
    "missing: weight, bias",
  );
  await Deno.remove(dir, { recursive: true });
});

Deno.test("weights: files that PyTorch and newer Diffusers write", async () => {
  const norm = new BatchNorm2d(2),
    { tensors } = decodeSafetensors(encodeSafetensors(await toTorch(norm.stateDict())));
  const counted = { ...tensors, num_batches_tracked: new HostArray(Int32Array.of(7), []) };
  assertEquals(await loadWeights(norm, encodeSafetensors(counted)), { missing: [], unexpected: [] });

  const make = () =>
    new UNet2DModel({
      in_channels: 1,
      out_channels: 1,
      block_out_channels: [8, 8],
      norm_num_groups: 4,
      attention_head_dim: 4,
      layers_per_block: 1,
      down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
      up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
    });
  const [a, b] = [make(), make()];
  const newer: Record<string, string> = { query: "to_q", key: "to_k", value: "to_v", proj_attn: "to_out.0" };
  const file: Record<string, HostArray> = {};
  let renamed = 0;
  for (const [name, array] of Object.entries(await toTorch(a.stateDict()))) {
    const other = name.replace(/(?<=attentions\.\d+\.)(query|key|value|proj_attn)/, (part) => newer[part]);
    if (other !== name) renamed++;
    file[other] = array;
  }
  assertEquals(renamed, 4 * 8); // an attention down, one in the middle, two up: each four weights and biases
  await loadWeights(b, encodeSafetensors(file));
  assertEquals(await toTorch(b.stateDict()), await toTorch(a.stateDict()));
});

Deno.test("files are replaced as a whole, and a failure leaves the old one and no rubbish", async () => {
  const dir = await Deno.makeTempDir();
  await writeFile(`${dir}/x`, "old");
  await writeFile(`${dir}/x`, new TextEncoder().encode("new"));
  assertEquals(await Deno.readTextFile(`${dir}/x`), "new");
  await Deno.mkdir(`${dir}/taken`);
  await Deno.writeTextFile(`${dir}/taken/inside`, "");
  await assertRejects(() => writeFile(`${dir}/taken`, "x"), Error, `Could not write ${dir}/taken`);
  assertEquals((await Array.fromAsync(Deno.readDir(dir))).map((e) => e.name).sort(), ["taken", "x"]);
  await Deno.remove(dir, { recursive: true });
});
