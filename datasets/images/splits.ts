/** The parts of a data set, as the names of its files tell. */

/** Words for the parts that data sets have. */
const WORDS: Record<string, readonly string[]> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "val", "dev"],
  test: ["test", "testing", "eval"],
};

/** The words of a path. */
const wordsOf = (path: string): string[] => path.toLowerCase().split(/[^a-z0-9]+/);

/** The words for a part; one that is not known is a word of its own. */
const wordsFor = (part: string): readonly string[] => WORDS[part] ?? [part.toLowerCase()];

/**
 * The files of a part: those with its name in their path; all, where no path names a part and it is `train`.
 * @param part `train`, `validation` and `test` have their usual synonyms, another is a word of its own
 */
export function filesOfPart(paths: readonly string[], part: string): string[] {
  const has = (path: string, words: readonly string[]) => wordsOf(path).some((word) => words.includes(word));
  const own = paths.filter((path) => has(path, wordsFor(part)));
  const isParted = paths.some((path) => has(path, Object.values(WORDS).flat()));
  return own.length > 0 || isParted || part !== "train" ? own : [...paths];
}

/**
 * Which of some folders are those of a part, where all of them are parts of a data set; undefined where one is not, as
 * folders of classes are not, and the part is `train`.
 * @param where what holds them, for the error
 * @throws Error that begins with `where`, if none is of the part.
 */
export function foldersOfPart(where: string, folders: readonly string[], part: string): string[] | undefined {
  const words = Object.values(WORDS).flat(),
    isPart = (folder: string) => words.includes(folder.toLowerCase());
  const isParted = folders.length > 0 && folders.every(isPart);
  if (!isParted && part === "train") return undefined;
  const own = folders.filter((folder) => wordsFor(part).includes(folder.toLowerCase()));
  if (own.length > 0) return own;
  const some = folders.filter(Boolean).slice(0, 10).join(", ") || "none";
  throw new Error(`${where}: none of its folders is of ${part}: there are ${some}`);
}
