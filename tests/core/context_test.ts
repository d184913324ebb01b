/** Values that go with a piece of work, where the runtime tells whose code goes on, and where it does not. */
import { assertEquals } from "@std/assert";
import { contextVariable, ofSynchronousPart } from "../../core/context.ts";

Deno.test("a value goes through awaits with its work, and into the work that it begins", async () => {
  const name = contextVariable<string>(), seen: unknown[] = [];
  const work = async (own: string) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    seen.push([own, name.get()]);
    await name.run("inner", async () => {
      await Promise.resolve();
      seen.push(name.get());
    });
    seen.push([own, name.get()]);
  };
  await Promise.all([name.run("a", () => work("a")), name.run("b", () => work("b"))]);
  assertEquals(seen.filter((x) => Array.isArray(x)).every(([own, found]) => own === found), true);
  assertEquals([seen.length, seen.filter((x) => x === "inner").length, name.get()], [6, 2, undefined]);
});

Deno.test("without the runtime's help a value is there for the synchronous part, also where it throws", async () => {
  const name = ofSynchronousPart<string>();
  const later = name.run("a", async () => {
    const first = name.get();
    await Promise.resolve();
    return [first, name.get()];
  });
  assertEquals([name.get(), await later], [undefined, ["a", undefined]]);
  name.run("a", () => {
    try {
      name.run("b", () => {
        throw new Error("boom");
      });
    } catch {
      assertEquals(name.get(), "a");
    }
  });
  assertEquals(name.get(), undefined);
});
