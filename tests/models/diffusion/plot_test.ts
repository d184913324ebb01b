/** The picture of processes. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { diffusion, linearSchedule } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";

const { plotSchedule, vp } = diffusion;

/** The lines of a picture, as their numbers of points. */
const lines = (svg: string) =>
  [...svg.matchAll(
    /aria-roledescription="line mark"[^>]* d="([^"]*)"|d="([^"]*)"[^>]*aria-roledescription="line mark"/g,
  )]
    .map(([, a, b]) => (a ?? b).split("L").length);

Deno.test({
  name:
    "plotSchedule draws β, σ/α, ᾱ and SNR of every process, all of their points that an axis has a place for",
  ...wasmOnly,
  async fn() {
    const svg = await plotSchedule({
      linear: vp(linearSchedule({ nSteps: 50 })),
      flow: diffusion.flow(),
      cosine: diffusion.cosine(),
    });
    for (const title of ["β", "σ/α", "ᾱ", "SNR", "linear", "flow", "cosine"]) {
      assert(svg.includes(`>${title}<`), title);
    }
    assertEquals(lines(svg).toSorted((a, b) => a - b), [
      50,
      50,
      50,
      50,
      999,
      999,
      1000,
      1000,
      1000,
      1000,
      1000,
      1000,
    ]);
    const one = await plotSchedule(vp(diffusion.zeroTerminalSnr(linearSchedule({ nSteps: 20 }))));
    assertEquals(lines(one).toSorted((a, b) => a - b), [19, 19, 20, 20]);
    assert(!/NaN|Infinity/.test(svg + one));
  },
});

Deno.test("no process is refused", () => {
  assertThrows(() => plotSchedule({}), RangeError, "no process to draw");
});
