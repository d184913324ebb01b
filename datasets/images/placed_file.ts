/** Files that are read and written at places. */

/** A file of which parts are asked for side by side; they are read and written in turn, as a file has one position. */
export class PlacedFile {
  #last: Promise<unknown> = Promise.resolve();
  #isOpen = true;

  /**
   * An open file.
   * @param path what is removed when the file is closed; default nothing
   */
  constructor(readonly file: Deno.FsFile, readonly path?: string) {}

  /**
   * Opens a new file, which loses its name at once, so that nothing is left of it however the process ends. (Windows keeps
   * the name of a file that is open: there it is removed when it is closed.)
   * @param dir where; made if it is not there
   */
  static async nameless(dir: string): Promise<PlacedFile> {
    await Deno.mkdir(dir, { recursive: true });
    const path = `${dir}/${crypto.randomUUID()}.tmp`;
    const file = await Deno.open(path, { read: true, write: true, createNew: true });
    const removed = await Deno.remove(path).then(() => true, () => false);
    return new PlacedFile(file, removed ? undefined : path);
  }

  /** The bytes from `start` up to `end`, fewer where the file ends before. */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#inTurn(start, async () => {
      const bytes = new Uint8Array(end - start);
      for (let done = 0; done < bytes.length;) {
        const more = await this.file.read(bytes.subarray(done));
        if (more === null) return bytes.slice(0, done);
        done += more;
      }
      return bytes;
    });
  }

  /** Writes bytes from a place on. */
  write(start: number, bytes: Uint8Array): Promise<void> {
    return this.#inTurn(start, async () => {
      for (let done = 0; done < bytes.length;) done += await this.file.write(bytes.subarray(done));
    });
  }

  /** Closes the file; a second call does nothing. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.file.close();
    if (this.path === undefined) return;
    try {
      Deno.removeSync(this.path);
    } catch {
      // it may be gone already
    }
  }

  /** Moves to a place and does something there, once what was asked for before is done. */
  #inTurn<T>(start: number, body: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      await this.file.seek(start, 0); // from the start
      return await body();
    });
    this.#last = turn.catch(() => {});
    return turn;
  }
}
