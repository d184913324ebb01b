/** A tenth of the soak of damaged files; all of it is `deno run -A tests/soak/files.ts`. */
import { assert, assertEquals } from "@std/assert";
import { wasmOnly } from "../support.ts";
import { endSoak, KINDS, soak } from "./files.ts";

/** Many times what any file takes on a busy machine. */
const LONGEST_MS = 30_000;
const MOST_MB = 500;

Deno.test("damaged files are read right or refused with a clear error", wasmOnly, async (t) => {
  try {
    for (const [name, kind] of Object.entries(KINDS)) {
      await t.step(`${kind.count / 10} ${name}`, async () => {
        const { right, refused, wrong, longestMs, growthMb } = await soak(kind, 0.1, 1);
        assertEquals(wrong, []);
        assert(right > 0 && refused > 0, `${right} right, ${refused} refused`);
        assert(longestMs < LONGEST_MS && growthMb < MOST_MB, `${longestMs} ms, ${growthMb} MB`);
      });
    }
  } finally {
    await endSoak();
  }
});
