/** Where decoded pictures are kept: in memory, or in a file that has no name. */

import { PlacedFile } from "./placed_file.ts";

/** Bytes by number. */
export interface Store {
  /** Keeps bytes. A number is given once. */
  put(index: number, bytes: Uint8Array): void | Promise<void>;
  /** What was kept. */
  get(index: number): Uint8Array | Promise<Uint8Array>;
  /** Gives the memory or the file back. */
  close(): void;
}

/** Keeps bytes in memory. */
export class MemoryStore implements Store {
  readonly #kept = new Map<number, Uint8Array>();
  #bytes = 0;

  /** How many bytes are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  put(index: number, bytes: Uint8Array): void {
    this.#kept.set(index, bytes);
    this.#bytes += bytes.length;
  }

  get(index: number): Uint8Array {
    return this.#kept.get(index)!;
  }

  /** Hands all over to another store. */
  async moveTo(other: Store): Promise<void> {
    for (const [index, bytes] of this.#kept) await other.put(index, bytes);
    this.close();
  }

  close(): void {
    this.#kept.clear();
    this.#bytes = 0;
  }
}

/** Keeps bytes in a file. */
export class DiskStore implements Store {
  readonly #file: PlacedFile;
  readonly #places = new Map<number, { at: number; length: number }>();
  #end = 0;

  private constructor(file: PlacedFile) {
    this.#file = file;
  }

  /**
   * Opens a new file, of which nothing is left however the process ends.
   * @param dir where; made if it is not there
   */
  static async open(dir: string): Promise<DiskStore> {
    return new DiskStore(await PlacedFile.nameless(dir));
  }

  async put(index: number, bytes: Uint8Array): Promise<void> {
    const at = this.#end;
    this.#end += bytes.length;
    this.#places.set(index, { at, length: bytes.length });
    await this.#file.write(at, bytes);
  }

  async get(index: number): Promise<Uint8Array> {
    const { at, length } = this.#places.get(index)!, bytes = await this.#file.read(at, at + length);
    if (bytes.length === length) return bytes;
    throw new Error("the file of decoded pictures is shorter than it was written");
  }

  close(): void {
    this.#file.close();
  }
}
