/** The IDX format of MNIST and its kin: two zero bytes, type, rank, big-endian sizes, then the numbers. */
import { HostArray } from "../core/mod.ts";
import { gunzip } from "./files.ts";

const UINT8 = 0x08;

/**
 * Reads an IDX file of bytes, gzipped or not.
 * @param name what to call it in errors; default `IDX file`
 * @param rank the number of axes it must have; default any, at least 1
 * @throws Error for a wrong magic number, another element type or rank, or a length that does not fit the sizes.
 */
export async function readIdx(
  bytes: Uint8Array,
  name = "IDX file",
  rank?: number,
): Promise<HostArray<Uint8Array>> {
  const raw = await gunzip(bytes, name);
  const fail = (why: string): never => {
    throw new Error(`${name}: ${why}`);
  };
  if (raw.length < 4) fail(`${raw.length} bytes are too few for an IDX header`);
  const [zero0, zero1, type, axes] = raw;
  const magic = [...raw.subarray(0, 4)].map((b) => b.toString(16).padStart(2, "0")).join("");
  if (zero0 || zero1) fail(`the magic number 0x${magic} is not IDX's`);
  if (type !== UINT8) fail(`element type 0x${type.toString(16)} is not 0x08 (unsigned bytes)`);
  if (axes < 1 || (rank !== undefined && axes !== rank)) {
    fail(`it has ${axes} axes, expected ${rank ?? "some"}`);
  }
  const header = 4 + 4 * axes;
  if (raw.length < header) fail(`truncated in its header, at ${raw.length} of ${header} bytes`);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const shape = Array.from({ length: axes }, (_, i) => view.getUint32(4 + 4 * i));
  const size = shape.reduce((a, b) => a * b, 1);
  if (raw.length !== header + size) {
    const how = raw.length < header + size ? "truncated" : "too long";
    fail(`${how}: the shape [${shape}] needs ${header + size} bytes, there are ${raw.length}`);
  }
  return new HostArray(raw.subarray(header), shape);
}
