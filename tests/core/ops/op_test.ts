/** What the compiler refuses of an op, and an op of a program's own. */
import { assert, assertEquals } from "@std/assert";
import { grad, ops, type Tensor, tf } from "../../../mod.ts";
import { assertRefused, device, numbers } from "../../support.ts";

const MOD = new URL("../../../mod.ts", import.meta.url).href;

Deno.test("a misspelt op, input, attribute or output, and what a rule does not save, do not compile", () =>
  assertRefused([
    [`import { ops, type Tensor } from "${MOD}";`],
    ["declare const x: Tensor;"],
    ["type Two = ops.Op<{ x: Tensor; w: Tensor }, { a: number }, { y: Tensor; z: Tensor }>;"],
    ["const base = { name: 'Two', check: () => {}, reference: () => ({ y: x, z: x }) };"],
    ["ops.run(ops.Silu, { x }, {});"],
    ["ops.run(ops.Sliu, { x }, {});", "TS2339"],
    ["ops.run(ops.Silu, { xx: x }, {});", "TS2353"],
    ["ops.run(ops.Silu, {}, {});", "TS2345"],
    ["ops.run(ops.Silu, { x }, { foo: 1 });", "TS2322"],
    ["ops.run(ops.Upsample, { x }, { factr: 1 });", "TS2561"],
    ["ops.run(ops.Silu, { x }, {}).z;", "TS2339"],
    ["export const right: Two = { ...base, outputs: ['z', 'y'], gradient: null };"],
    ["export const lacksOne: Two = { ...base, outputs: ['y'], gradient: null };", "TS2322"],
    ["export const twice: Two = { ...base, outputs: ['y', 'y'], gradient: null };", "TS2322"],
    ["export const noOutput: Two = { ...base, outputs: ['y', 'q'], gradient: null };", "TS2322"],
    ["export const noGradient: Two = { ...base, outputs: ['y', 'z'] };", "TS2741"],
    ["const { gradient } = ops, none = { x: null, w: null };"],
    ["type Flow = ops.Gradient<{ x: Tensor; w: Tensor }, { a: number }, { y: Tensor; z: Tensor }>;"],
    ["export const g1: Flow = gradient(['x', 'z'], (_, { x, z }) => ({ x: () => x, w: () => z }));"],
    ["export const g2: Flow = gradient(['x'], (_, { w }) => ({ x: () => w, w: null }));", "TS2339"],
    ["export const g3: Flow = gradient([], (_, { w }) => ({ x: () => w, w: null }));", "TS2339"],
    ["export const g4: Flow = gradient(['q'], () => none);", "TS2322"],
    ["export const g5: Flow = gradient(['x'], () => ({ x: null }));", "TS2322"],
    ["export const g6: Flow = gradient(['x'], (_, __, { b }) => b ? none : none);", "TS2339"],
    ["export const g7: Flow = { saves: ['x'], rule: (_, { x }) => ({ x: () => x, w: null }) };", "TS2339"],
  ]));

Deno.test("an op of a program's own runs on the device, its gradient flows, and a kernel takes its place", async () => {
  const Cube: ops.Op<{ x: Tensor }, { scale: number }, { y: Tensor }> = {
    name: "CubeOfTheTest",
    outputs: ["y"],
    check({ x }) {
      if (x.dtype !== "float32") throw new TypeError("CubeOfTheTest: x is float32");
    },
    reference: ({ x }, { scale }) => ({ y: tf.mul(tf.pow(x, 3), scale) }),
    gradient: ops.gradient(["x"], (dy, { x }, { scale }) => ({
      x: () => tf.mul(dy, tf.mul(tf.square(x), 3 * scale)),
    })),
  };
  ops.register(Cube);
  assert(ops.opsByReference(device.name).includes("CubeOfTheTest"));
  const cube = (x: Tensor) => ops.run(Cube, { x }, { scale: 2 }).y, sum = (x: Tensor) => tf.sum(cube(x));
  const x = tf.tensor([1, 2]);
  assertEquals((await numbers(cube(x))).map(Math.round), [2, 16]);
  assertEquals(await numbers(grad(sum, [x])[0]), [6, 24]);

  ops.registerKernel(device.name, Cube, ({ x }) => ({ y: tf.zerosLike(x as Tensor) }));
  assert(!ops.opsByReference(device.name).includes("CubeOfTheTest"));
  assertEquals(await numbers(cube(x)), [0, 0]);

  ops.register({ ...Cube, gradient: null });
  assert(ops.opsByReference(device.name).includes("CubeOfTheTest"));
  let message = "";
  try {
    grad(sum, [x]);
  } catch (error) {
    message = (error as Error).message;
  }
  assert(message.includes("CubeOfTheTest"), `"${message}"`);
});
