/** Decodes pictures: by what the runtime has, or by fast-png where Deno's decoder loses something. */
import { decode } from "npm:fast-png@8.0.0";
import { type ImageHeader, readHeader } from "./format.ts";
import type { Pixels } from "./source.ts";

/** Rows of a BMP file are of so many bytes, or a multiple. */
const BMP_ALIGN_BYTES = 4;

/**
 * The pixels of a BMP of 8, 24 or 32 bits, as Deno writes it: rows from the bottom, colours from blue to red. They are put
 * right where they are, without memory for another picture.
 */
function readBmp(bytes: Uint8Array): Pixels {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = view.getInt32(18, true), height = view.getInt32(22, true);
  const channels = view.getUint16(28, true) / 8 as 1 | 3 | 4, row = width * channels;
  const stride = Math.ceil(row / BMP_ALIGN_BYTES) * BMP_ALIGN_BYTES;
  const all = bytes.subarray(view.getUint32(10, true)), data = all.subarray(0, height * row);
  for (let top = 0, bottom = height - 1; top < bottom; top++, bottom--) {
    const above = all.slice(top * stride, top * stride + row);
    all.copyWithin(top * stride, bottom * stride, bottom * stride + row);
    all.set(above, bottom * stride);
  }
  if (stride > row) {
    for (let y = 1; y < height; y++) all.copyWithin(y * row, y * stride, y * stride + row);
  }
  if (channels > 1) {
    for (let at = 0; at < data.length; at += channels) {
      const blue = data[at];
      data[at] = data[at + 2];
      data[at + 2] = blue;
    }
  }
  return { width, height, channels, data };
}

/** What is drawn on in browsers; Deno has no such context. */
interface Context2d {
  drawImage(bitmap: ImageBitmap, x: number, y: number): void;
  getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
}

/** Decodes by the runtime: the first frame, turned upright. */
async function decodeNatively(bytes: Uint8Array): Promise<Pixels> {
  const bitmap = await createImageBitmap(new Blob([bytes as BlobPart]));
  const { width, height } = bitmap, canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d") as unknown as Context2d | null;
  if (context) {
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = context.getImageData(0, 0, width, height);
    return { width, height, channels: 4, data: new Uint8Array(data.buffer) };
  }
  canvas.getContext("bitmaprenderer")!.transferFromImageBitmap(bitmap);
  const bmp = await canvas.convertToBlob({ type: "image/bmp" });
  canvas.width = canvas.height = 1; // the collector does not see how large what it keeps is
  return readBmp(new Uint8Array(await bmp.arrayBuffer()));
}

/** What a PNG's first chunk says of its colours, and the grey that a chunk names as transparent. */
interface PngColours {
  depth: number;
  /** 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha. */
  type: number;
  transparentGrey?: number;
}

function pngColours(bytes: Uint8Array): PngColours {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [depth, type] = bytes.subarray(24);
  if (type !== 0) return { depth, type };
  const [IDAT, TRNS] = [0x49444154, 0x74524e53];
  for (let at = 8; at + 10 <= bytes.length;) {
    const length = view.getUint32(at), kind = view.getUint32(at + 4);
    if (kind === IDAT) break;
    if (kind === TRNS) return { depth, type, transparentGrey: view.getUint16(at + 8) };
    at += length + 12;
  }
  return { depth, type };
}

/** Grey with alpha, where one grey is transparent. */
function withTransparentGrey(grey: Pixels, transparent: number): Pixels {
  const data = new Uint8Array(2 * grey.data.length);
  grey.data.forEach((value, i) => {
    data[2 * i] = value;
    data[2 * i + 1] = value === transparent ? 0 : 255;
  });
  return { ...grey, channels: 2, data };
}

/** 16-bit PNG, of which Deno cannot give the pixels, and grey with alpha, of which it gives the grey alone. */
function decodePng(bytes: Uint8Array): Pixels {
  const { width, height, channels, depth, data, transparency } = decode(bytes, { checkCrc: true });
  const narrow = depth === 16 ? Uint8Array.from(data, (value) => (value + 128) / 257) : new Uint8Array(data);
  const pixels = { width, height, channels: channels as Pixels["channels"], data: narrow };
  if (!transparency?.length || channels !== 1 && channels !== 3) return pixels;
  const out = new Uint8Array(width * height * (channels + 1));
  for (let p = 0; p < width * height; p++) {
    const from = p * channels, to = p * (channels + 1);
    out.set(narrow.subarray(from, from + channels), to);
    const isTransparent = transparency.every((value, k) => data[from + k] === value);
    out[to + channels] = isTransparent ? 0 : 255;
  }
  return { ...pixels, channels: channels + 1 as 2 | 4, data: out };
}

async function decodeBy({ format }: ImageHeader, bytes: Uint8Array): Promise<Pixels> {
  if (format !== "PNG") return await decodeNatively(bytes);
  const { depth, type, transparentGrey } = pngColours(bytes);
  if (depth === 16 || type === 4) return decodePng(bytes);
  const pixels = await decodeNatively(bytes);
  if (transparentGrey === undefined || pixels.channels !== 1) return pixels;
  return withTransparentGrey(pixels, transparentGrey * 255 / (2 ** depth - 1));
}

/**
 * Decodes a PNG, JPEG, WebP, GIF or BMP file: of several frames the first, upright as its EXIF data says.
 * @param bytes the whole file
 * @param maxPixels most pixels; a file that claims more is refused before memory is taken for them
 * @throws Error if the file is no picture, of another format, too large, or cannot be decoded, as one that is cut off.
 */
export async function decodeImage(bytes: Uint8Array, maxPixels: number): Promise<Pixels> {
  const header = readHeader(bytes), { format, width, height } = header;
  if (width * height > maxPixels) {
    throw new Error(`the header claims ${width}×${height} pixels, more than the ${maxPixels} of maxPixels`);
  }
  if (typeof createImageBitmap !== "function" || typeof OffscreenCanvas !== "function") {
    throw new Error("this runtime decodes no pictures: it has no createImageBitmap or no OffscreenCanvas");
  }
  try {
    return await decodeBy(header, bytes);
  } catch (error) {
    throw new Error(`the ${format} is damaged or cut off (${(error as Error).message})`, { cause: error });
  }
}
