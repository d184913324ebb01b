/** The options of tasks that compute, and the start of their device. */
import { MAX_THREADS } from "../core/mod.ts";
import { type Device, type DeviceChoice, useDevice } from "../mod.ts";
import { type Command, Option, path, UsageError, whole } from "./cli.ts";

/** The option of a device; the flag counts before the environment. */
export function deviceOption(
  what = "auto, webgpu or wasm; auto takes a hardware GPU, else wasm (default: auto)",
): Option {
  return new Option("--device <name>", what).choices(["auto", "webgpu", "wasm"]).env("DENOISE_DEVICE");
}

/** The option of a number of threads; the flag counts before the environment. */
export function threadsOption(what = "threads on wasm (default: the machine's cores)"): Option {
  return new Option("--threads <n>", what)
    .argParser(whole(1, MAX_THREADS))
    .env("DENOISE_THREADS");
}

/** What {@link withCommonOptions} adds, as parsed. */
export interface CommonOptions {
  device?: DeviceChoice;
  threads?: number;
  runs: string;
}

/** Adds the options of tasks that compute with runs. */
export function withCommonOptions(command: Command): Command {
  return command
    .addOption(deviceOption())
    .addOption(threadsOption())
    .option("--runs <dir>", "where runs are kept", path, "runs");
}

/**
 * Starts the device that the command line or the environment names.
 * @throws UsageError for threads that a GPU does not have.
 */
export async function startDevice(command: Command): Promise<Device> {
  const { device, threads } = command.opts<Partial<CommonOptions>>();
  if (device !== "webgpu") return await useDevice(device, { threads });
  if (command.getOptionValueSource("threads") === "cli") {
    throw new UsageError(`--threads ${threads}: a GPU has none; leave it out with --device webgpu`);
  }
  return await useDevice(device);
}
