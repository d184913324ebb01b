/** Scripts as a user runs them: with no config, in a folder of their own, with the permissions that they are given. */

/** What a script did, and the folder that it ran in. */
export interface ScriptRun {
  code: number;
  out: string;
  err: string;
  dir: string;
}

/** Flags by which a script may read and write in its folder, and see what chooses the device. */
export const IN_ITS_FOLDER = [
  "--allow-env=DENOISE_DEVICE,DENOISE_THREADS",
  "--allow-read=.",
  "--allow-write=.",
];

/**
 * Runs a script, and looks at what it made before its folder goes.
 * @param flags of `deno run`: what it may do
 * @param args of the script
 */
export async function runScript(
  source: string,
  { flags = [], args = [] }: { flags?: string[]; args?: string[] },
  look: (run: ScriptRun) => void | Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/script.ts`, source);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--no-config", "--no-lock", ...flags, "script.ts", ...args],
      cwd: dir,
      env: { DENOISE_DEVICE: "wasm" },
      signal: AbortSignal.timeout(180_000),
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    await look({ code, out, err, dir });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
