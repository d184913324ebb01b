/** A folder of pictures as people have them: 400 PNG and 50 JPEG of mixed sizes, some odd and one broken. */
import { encodePng, Generator } from "../../mod.ts";

/** One scene in 26 forms. */
export const PICTURES = new URL("./pictures/", import.meta.url);

/** The colours of the quarters of the scene that all pictures show. */
export const SCENE = [[220, 40, 40], [40, 180, 60], [50, 70, 210], [230, 210, 60]];

/** The scene of the pictures, in a size of its own. */
function scene(width: number, height: number): Uint8Array {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      data.set(SCENE[2 * Number(y >= height / 2) + Number(x >= width / 2)], 3 * (y * width + x));
    }
  }
  return encodePng({ width, height, channels: 3, data });
}

/** A picture as a JPEG. */
async function jpeg(bytes: Uint8Array): Promise<Uint8Array> {
  const bitmap = await createImageBitmap(new Blob([bytes as BlobPart]));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("bitmaprenderer")!.transferFromImageBitmap(bitmap);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
  return new Uint8Array(await blob.arrayBuffer());
}

/** The files of the folder by name, in two classes. */
export async function mixedFolder(): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {}, sides = new Generator(1).randintArray(900, 20, 91);
  for (let i = 0; i < 400; i++) files[`Bücher & Bäume/${i} ü.png`] = scene(sides[2 * i], sides[2 * i + 1]);
  for (let i = 400; i < 450; i++) {
    files[`my photos/holiday ${i}.JPG`] = await jpeg(scene(sides[2 * i], sides[2 * i + 1]));
  }
  for (const name of ["cmyk.jpg", "animated.gif", "grey16.png", "turned/exif 6.jpg"]) {
    files[`my photos/${name}`] = await Deno.readFile(new URL(name, PICTURES));
  }
  files["my photos/broken.jpg"] = files["my photos/holiday 400.JPG"].slice(0, -100);
  return files;
}
