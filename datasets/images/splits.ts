/** The parts of a data set, as the names of its files tell. */

/** Words for the parts that data sets have. */
const WORDS: Record<string, readonly string[]> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "val", "dev"],
  test: ["test", "testing", "eval"],
};

/** The words of a path. */
const wordsOf = (path: string): string[] => path.toLowerCase().split(/[^a-z0-9]+/);

/**
 * The files of a part: those with its name in their path; all, where no path names a part and it is `train`.
 * @param part `train`, `validation` and `test` have their usual synonyms, another is a word of its own
 */
export function filesOfPart(paths: readonly string[], part: string): string[] {
  const has = (path: string, words: readonly string[]) => wordsOf(path).some((word) => words.includes(word));
  const own = paths.filter((path) => has(path, WORDS[part] ?? [part.toLowerCase()]));
  const isParted = paths.some((path) => has(path, Object.values(WORDS).flat()));
  return own.length > 0 || isParted || part !== "train" ? own : [...paths];
}
