/** Where decoded pictures are kept: in memory, or in a file that has no name. */

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
  readonly #file: Deno.FsFile;
  /** Where the file is, on systems where one that is open cannot lose its name. */
  readonly #path?: string;
  readonly #places = new Map<number, { at: number; length: number }>();
  #end = 0;
  /** The reads and writes before: a file has one position. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(file: Deno.FsFile, path?: string) {
    this.#file = file;
    this.#path = path;
  }

  /**
   * Opens a new file, which loses its name at once, so that nothing is left of it however the process ends.
   * @param dir where; made if it is not there
   */
  static async open(dir: string): Promise<DiskStore> {
    await Deno.mkdir(dir, { recursive: true });
    const path = `${dir}/${crypto.randomUUID()}.tmp`;
    const file = await Deno.open(path, { read: true, write: true, createNew: true });
    const removed = await Deno.remove(path).then(() => true, () => false);
    return new DiskStore(file, removed ? undefined : path);
  }

  async put(index: number, bytes: Uint8Array): Promise<void> {
    const at = this.#end;
    this.#end += bytes.length;
    this.#places.set(index, { at, length: bytes.length });
    await this.#inTurn(at, async () => {
      for (let done = 0; done < bytes.length;) done += await this.#file.write(bytes.subarray(done));
    });
  }

  async get(index: number): Promise<Uint8Array> {
    const { at, length } = this.#places.get(index)!, bytes = new Uint8Array(length);
    await this.#inTurn(at, async () => {
      for (let done = 0; done < length;) {
        const read = await this.#file.read(bytes.subarray(done));
        if (read === null) throw new Error("the file of decoded pictures is shorter than it was written");
        done += read;
      }
    });
    return bytes;
  }

  /** Moves to a place and does something there, once what was asked for before is done. */
  #inTurn(at: number, body: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(async () => {
      await this.#file.seek(at, 0); // from the start
      await body();
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  close(): void {
    this.#file.close();
    if (this.#path) {
      try {
        Deno.removeSync(this.#path);
      } catch {
        // it may be gone already
      }
    }
  }
}
