/** JSON of files, read so that nothing of it is lost without a word. */

/** As deep as the reader in Rust of safetensors goes; what is written here has a few levels. */
const MAX_DEPTH = 128;
/** Longer values are cut in messages. */
const MAX_SHOWN = 120;

/** The place after the text that begins at a quotation mark. */
function endOfText(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** @throws Error if valid JSON names a field of an object twice, or nests deeper than {@link MAX_DEPTH}. */
function requireUnambiguous(json: string): void {
  /** The names of each object that is open, null for a list. */
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < json.length; at++) {
    const c = json[at];
    if (c === "{" || c === "[") {
      open.push(c === "{" ? new Set() : null);
      if (open.length > MAX_DEPTH) throw new Error(`it is nested deeper than ${MAX_DEPTH} levels`);
    } else if (c === "}" || c === "]") {
      open.pop();
    } else if (c === '"') {
      const end = endOfText(json, at), names = open.at(-1);
      let after = end;
      while (json[after] <= " ") after++;
      if (names && json[after] === ":") {
        const name: string = JSON.parse(json.slice(at, end));
        if (names.has(name)) throw new Error(`it has ${showJson(name)} twice`);
        names.add(name);
        at = after;
      } else {
        at = end - 1;
      }
    }
  }
}

/**
 * Parses JSON. A field `__proto__` is one as any other.
 * @throws Error for text that is no JSON, has a field of an object twice, or is nested deeper than 128 levels.
 */
export function parseJson(json: string): unknown {
  const value: unknown = JSON.parse(json);
  requireUnambiguous(json);
  return value;
}

/** A value as JSON for a message, cut where it is long. */
export function showJson(value: unknown): string {
  const text = typeof value === "number" ? String(value) : JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
