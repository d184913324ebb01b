/** Files of data as tests make them. */

/** The bytes of an IDX file. */
export function idx(shape: number[], data: number[], magic = [0, 0, 8, shape.length]): Uint8Array {
  const head = new Uint8Array(4 + 4 * shape.length);
  head.set(magic);
  shape.forEach((n, i) => new DataView(head.buffer).setUint32(4 + 4 * i, n));
  return new Uint8Array([...head, ...data]);
}

/** Gzipped bytes. */
export async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** 0…n−1. */
export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
