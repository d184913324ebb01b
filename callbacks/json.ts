/** JSON that keeps numbers which are not finite. */
import { type Json, parseJson as parseStrictJson } from "../core/mod.ts";

/** As `JSON.stringify`; NaN and infinities are written as `{"$number":"NaN"}`, where JSON would say null. */
export function stringifyJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_, x) => typeof x === "number" && !Number.isFinite(x) ? { $number: String(x) } : x,
  );
}

/**
 * Reads what {@link stringifyJson} wrote, and any other JSON.
 * @throws Error for text that is no JSON, has a field twice, or is nested deeper than 128 levels.
 */
export function parseJson(text: string): Json {
  return revive(parseStrictJson(text) as Json);
}

/** The numbers that JSON lacks, by what they are written as. */
const LACKING: ReadonlyMap<Json, number> = new Map([["NaN", NaN], ["Infinity", Infinity], [
  "-Infinity",
  -Infinity,
]]);

function revive(x: Json): Json {
  if (Array.isArray(x)) return x.map(revive);
  if (typeof x !== "object" || x === null) return x;
  const entries = Object.entries(x), [[name, text] = []] = entries;
  if (entries.length === 1 && name === "$number" && LACKING.has(text!)) return LACKING.get(text!)!;
  return Object.fromEntries(entries.map(([name, value]) => [name, revive(value)]));
}
