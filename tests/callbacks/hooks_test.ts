/** HooksCallback. */
import { assertEquals } from "@std/assert";
import { HooksCallback, Linear, resnet } from "../../mod.ts";
import "../support.ts";
import { imageLearner } from "../images.ts";

Deno.test("HooksCallback looks in training alone unless told, and lets go", async () => {
  const seen: string[] = [];
  const hook = (onValid: boolean) =>
    new HooksCallback(({ name, learn }) => seen.push(`${name} ${learn.training}`), {
      modFilter: (m) => m instanceof Linear,
      onValid,
    });
  const learn = await imageLearner(resnet.getModel4());
  await learn.fit(1, { cbs: [hook(false)] });
  assertEquals(seen, ["6 true", "6 true"]);
  await learn.fit(1, { cbs: [hook(true)] });
  assertEquals(seen.slice(2), ["6 true", "6 true", "6 false"]);
  await learn.fit(1);
  assertEquals(seen.length, 5);
});
