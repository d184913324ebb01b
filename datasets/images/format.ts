/** What a file's first bytes tell: the format, the size, and whether a JPEG is whole. */

/** Formats that are read. */
export type ImageFormat = "PNG" | "JPEG" | "WebP" | "GIF" | "BMP";

/** What a picture's header says. */
export interface ImageHeader {
  format: ImageFormat;
  /** Pixels in a row, as they are stored: a JPEG's orientation is not applied. */
  width: number;
  /** Rows. */
  height: number;
}

/** How many bytes {@link sniff} looks at. */
export const SNIFF_BYTES = 32;

const READ = "PNG, JPEG, WebP, GIF and BMP are read";
/** How formats that are not read become one that is. */
const CONVERT = `${READ}: convert it, for example with ImageMagick: magick FILE FILE.png`;

const ascii = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, to));

/** Sizes of the headers that BMP has had. */
const BMP_HEADERS = [12, 16, 40, 52, 56, 64, 108, 124];

/** The brands of files of ISO's family that are pictures. */
const BRANDS: Record<string, string> = {
  avif: "AVIF",
  avis: "AVIF",
  heic: "HEIC",
  heix: "HEIC",
  hevc: "HEIC",
  mif1: "HEIC or AVIF",
  msf1: "HEIC or AVIF",
};

/**
 * The format of a picture by its first {@link SNIFF_BYTES} bytes, also one that is not read, such as `TIFF`; undefined
 * for what is no picture.
 */
export function sniff(bytes: Uint8Array): string | undefined {
  const start = ascii(bytes, 0, 12);
  const begins = (...starts: string[]) => starts.some((text) => start.startsWith(text));
  if (begins("\x89PNG\r\n\x1a\n")) return "PNG";
  if (begins("\xff\xd8\xff")) return "JPEG";
  if (begins("GIF87a", "GIF89a")) return "GIF";
  if (begins("RIFF") && start.endsWith("WEBP")) return "WebP";
  if (begins("BM") && BMP_HEADERS.includes(bytes[14])) return "BMP";
  if (begins("II*\0", "II+\0", "MM\0*", "MM\0+")) return "TIFF";
  if (start.slice(4, 8) === "ftyp") return BRANDS[start.slice(8)];
  if (begins("\xff\x0a", "\0\0\0\x0cJXL ")) return "JPEG XL";
  if (begins("\0\0\0\x0cjP  ")) return "JPEG 2000";
  if (begins("8BPS")) return "Photoshop";
  return undefined;
}

/** Whether {@link sniff}'s answer is a format that is read. */
const isRead = (format: string): format is ImageFormat =>
  ["PNG", "JPEG", "WebP", "GIF", "BMP"].includes(format);

/** Markers of JPEG that have no length. */
const isBare = (marker: number): boolean => marker === 0x01 || marker >= 0xd0 && marker <= 0xd8;
/** Those that begin a frame and hold its size. */
const isFrame = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
const START_OF_SCAN = 0xda, END_OF_IMAGE = 0xd9;

/**
 * The size of a JPEG, whose segments are walked to its end: Deno's decoder gives black for what a file that is cut off
 * lacks.
 */
function jpegSize(bytes: Uint8Array): [width: number, height: number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let size: [number, number] | undefined;
  for (let at = 2; (at = bytes.indexOf(0xff, at)) >= 0;) {
    const marker = bytes[++at];
    if (marker === END_OF_IMAGE) {
      if (!size) break;
      return size;
    }
    // Within a scan 0xff 0x00 is a byte of its data; 0xff 0xff is filling.
    if (marker === 0x00 || marker === 0xff || isBare(marker)) continue;
    if (at + 3 > bytes.length) break;
    if (isFrame(marker) && at + 8 <= bytes.length) size = [view.getUint16(at + 6), view.getUint16(at + 4)];
    if (marker === START_OF_SCAN && !size) break;
    at += 1 + view.getUint16(at + 1);
  }
  throw new Error(`the JPEG is cut off: its ${bytes.length} bytes have no end marker`);
}

/** The size that a WebP's first chunk tells. */
function webpSize(bytes: Uint8Array, view: DataView): [width: number, height: number] {
  const kind = ascii(bytes, 12, 16), uint24 = (at: number) => view.getUint32(at, true) & 0xffffff;
  if (kind === "VP8X") return [uint24(24) + 1, (uint24(26) >> 8 | bytes[29] << 16) + 1];
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return [(bits & 0x3fff) + 1, (bits >>> 14 & 0x3fff) + 1];
  }
  return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
}

function sizeOf(format: ImageFormat, bytes: Uint8Array): [width: number, height: number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (format === "PNG") return [view.getUint32(16), view.getUint32(20)];
  if (format === "GIF") return [view.getUint16(6, true), view.getUint16(8, true)];
  if (format === "WebP") return webpSize(bytes, view);
  if (format === "JPEG") return jpegSize(bytes);
  if (bytes[14] === 12) return [view.getUint16(18, true), view.getUint16(20, true)];
  return [view.getInt32(18, true), Math.abs(view.getInt32(22, true))]; // rows from the top have a negative height
}

/**
 * What a file's header says, its pixels not decoded.
 * @param bytes the whole file
 * @throws Error if the file is empty, no picture, of a format that is not read, or cut off within its header; a JPEG also
 *   if it is cut off anywhere.
 */
export function readHeader(bytes: Uint8Array): ImageHeader {
  if (bytes.length === 0) throw new Error("the file is empty");
  const format = sniff(bytes);
  if (format === undefined) throw new Error(`it is no picture: ${READ}`);
  if (!isRead(format)) throw new Error(`${format} is not read. ${CONVERT}`);
  try {
    const [width, height] = sizeOf(format, bytes);
    if (!(width > 0 && height > 0)) throw new Error(`the header claims a size of ${width}×${height}`);
    return { format, width, height };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // of a DataView: the bytes end before
    throw new Error(`the ${format} is cut off: ${bytes.length} bytes are too few for its header`);
  }
}
