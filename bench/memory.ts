/** Prints the peak resident memory, in MiB, of a process that takes three steps of the case in its argument. */
import { useDevice } from "../mod.ts";
import { makeNetwork, prepareModel } from "./cases.ts";

await useDevice("wasm", { log: null });
const c = JSON.parse(Deno.args[0]);
const { run } = prepareModel(c, makeNetwork(c));
for (let i = 0; i < 3; i++) await run();
const status = await Deno.readTextFile("/proc/self/status");
console.log(Math.round(Number(status.match(/VmHWM:\s*(\d+)/)![1]) / 1024));
Deno.exit();
