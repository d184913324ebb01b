/** SGD. */
import { assertThrows } from "@std/assert";
import { SGD } from "../../../mod.ts";
import torch from "../../golden/torch.json" with { type: "json" };
import { start, testSteps } from "./steps.ts";

testSteps("SGD", (p) => new SGD(p, { lr: 0.05 }), torch["opt.sgd"]);
testSteps(
  "SGD with momentum and decay",
  (p) => new SGD(p, { lr: 0.05, momentum: 0.9, weightDecay: 0.01 }),
  torch["opt.sgd.momentum"],
);

Deno.test("SGD: settings that give no step are named", () => {
  const refused = (make: () => unknown, message: string) => assertThrows(make, Error, message);
  const p = start();
  refused(() => new SGD([p], { lr: 1, momentum: -1 }), "SGD: momentum is a number of at least 0, not -1");
  refused(() => new SGD([p], { lr: Infinity }), "SGD: lr is a number of at least 0, not Infinity");
  refused(() => new SGD([{ params: [p], lr: 1, betas: [0, 0] }], { lr: 1 }), 'SGD has no option "betas"');
});
