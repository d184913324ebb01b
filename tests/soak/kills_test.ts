/** A tenth of the soak of kills. */
import { assert, assertEquals } from "@std/assert";
import { wasmOnly } from "../support.ts";
import { soakKills } from "./kills.ts";

Deno.test({
  name: "tasks that are killed leave whole files, and their runs go on to the unbroken run's numbers",
  ...wasmOnly,
  async fn() {
    const { killed, ended } = await soakKills(20);
    assertEquals(killed, { train: 10, classify: 5, sample: 3, bench: 2 });
    assert(ended >= 2);
  },
});
