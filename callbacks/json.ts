/** JSON that keeps numbers which are not finite. */

/** As `JSON.stringify`; NaN and infinities are written as `{"$number":"NaN"}`, where JSON would say null. */
export function stringifyJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_, x) => typeof x === "number" && !Number.isFinite(x) ? { $number: String(x) } : x,
  );
}

/** Reads what {@link stringifyJson} wrote, and any other JSON. */
// deno-lint-ignore no-explicit-any
export function parseJson(text: string): any {
  return JSON.parse(text, (_, x) => x && typeof x.$number === "string" ? Number(x.$number) : x);
}
