/** A part of the soak of presses: one in each task. */
import { assertEquals } from "@std/assert";
import { wasmOnly } from "../support.ts";
import { hasTerminal } from "../tasks/terminal.ts";
import { soakPresses } from "./presses.ts";

Deno.test({
  name: "Ctrl-C at any moment: tasks end in time, and runs go on to the unbroken run's numbers",
  ignore: wasmOnly.ignore || !hasTerminal,
  async fn() {
    const { pressed } = await soakPresses(3);
    assertEquals(pressed, { train: 1, classify: 1, sample: 1, evaluate: 1, bench: 1 });
  },
});
