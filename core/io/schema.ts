/** Values of files, checked against schemas of Valibot. */
import * as v from "npm:valibot@1.5.0";
import { showJson } from "./json.ts";

/** More problems than these are counted only. */
const MAX_PROBLEMS = 4;

/** Any number, those among them that JSON lacks. */
export const NUMBER: v.GenericSchema<unknown, number> = v.custom<number>(
  (value) => typeof value === "number",
  "a number",
);

/** A whole number of at least 0. */
export const COUNT: v.GenericSchema<unknown, number> = v.pipe(
  v.number(),
  v.safeInteger("a whole number"),
  v.minValue(0, "a number of at least 0"),
);

/**
 * An object whose every field is of a schema. Valibot's own passes over fields that are called as those of every object,
 * such as `constructor`.
 */
export function recordOf<T>(field: v.GenericSchema<unknown, T>): v.GenericSchema<unknown, Record<string, T>> {
  const isObject = (x: unknown) => typeof x === "object" && x !== null && !Array.isArray(x);
  return v.pipe(
    v.custom<Record<string, T>>(isObject, "an object"),
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      const { value: input } = dataset;
      for (const [key, value] of Object.entries(input)) {
        for (const issue of v.safeParse(field, value).issues ?? []) {
          const place = { type: "object", origin: "value", input, key, value } as const;
          addIssue({ ...issue, expected: issue.expected ?? undefined, path: [place, ...issue.path ?? []] });
        }
      }
    }),
  );
}

/** Kinds of values in words, where Valibot names a type. */
const KINDS: Record<string, string> = {
  number: "a number",
  string: "a string",
  boolean: "true or false",
  Object: "an object",
  Array: "an array",
};

/** What is wrong with a field, and what would be right. */
function problem(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue), field = path === null ? "it" : `"${path}"`;
  if (issue.expected === "never") return `there is no field ${field}`;
  if (issue.kind === "schema" && issue.input === undefined) return `${field} is missing`;
  // Schemas here say in their message what would be right, where it is more than a type's name.
  const { expected, message } = issue;
  const right = message.startsWith("Invalid ") ? KINDS[expected!] ?? expected : message;
  return `${field} is ${showJson(issue.input)}, not ${right}`;
}

/**
 * A value that a file held, once it has the form of a schema.
 * @param what holds it: what the error begins with
 * @throws Error that names each wrong, missing or unknown field, its value, and what would be right.
 */
export function requireSchema<T>(schema: v.GenericSchema<unknown, T>, value: unknown, what: string): T {
  const { issues } = v.safeParse(schema, value, { abortPipeEarly: true });
  if (!issues) return value as T;
  const problems = issues.slice(0, MAX_PROBLEMS).map(problem);
  if (issues.length > MAX_PROBLEMS) problems.push(`and ${issues.length - MAX_PROBLEMS} more`);
  throw new Error(`${what}: ${problems.join("; ")}`);
}
