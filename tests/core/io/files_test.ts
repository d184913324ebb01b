/** Files. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { readBytes, sweepTemporaryFiles, writeFile } from "../../../core/mod.ts";
import { wasmOnly } from "../../support.ts";

/** Names in a directory. */
const namesIn = async (dir: string) => (await Array.fromAsync(Deno.readDir(dir))).map((e) => e.name).sort();

/** Runs a test in a directory of its own. */
async function inDirectory(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("files are replaced as a whole, and a failure leaves the old one and no rubbish", () =>
  inDirectory(async (dir) => {
    await writeFile(`${dir}/x`, "old");
    await writeFile(`${dir}/x`, new TextEncoder().encode("new"));
    assertEquals(await Deno.readTextFile(`${dir}/x`), "new");
    await writeFile(`${dir}/empty`, "");
    assertEquals((await Deno.stat(`${dir}/empty`)).size, 0);
    await Deno.mkdir(`${dir}/taken`);
    await Deno.writeTextFile(`${dir}/taken/inside`, "");
    await assertRejects(
      () => writeFile(`${dir}/taken`, "x"),
      Error,
      `Could not write ${dir}/taken: Is a dir`,
    );
    await assertRejects(() => writeFile(`${dir}/x/y`, "x"), Error, `Could not write ${dir}/x/y: Not a dir`);
    await assertRejects(() => writeFile(`${dir}/no/y`, "x"), Error, `Could not write ${dir}/no/y: No such`);
    await assertRejects(() => writeFile(dir + "/n".repeat(300), "x"), Error, `Could not write ${dir}/n`);
    assertEquals(await namesIn(dir), ["empty", "taken", "x"]);
  }));

Deno.test("a symbolic link is replaced, and what it points to is left as it is", () =>
  inDirectory(async (dir) => {
    await Deno.writeTextFile(`${dir}/target`, "old");
    await Deno.symlink(`${dir}/target`, `${dir}/link`);
    await writeFile(`${dir}/link`, "new");
    assertEquals([await Deno.readTextFile(`${dir}/target`), await Deno.readTextFile(`${dir}/link`)], [
      "old",
      "new",
    ]);
  }));

/** A path that does not change from one temporary name to the next. */
const plain = (path: string | URL) =>
  String(path).replace(/.*\//, "").replace(/\.\d+\.[0-9a-f]{8}\.tmp$/, ".tmp");

/** Records what is done to files, and may let a step fail. */
async function spied(body: () => Promise<void>, failing?: string): Promise<string[]> {
  const { open, rename } = Deno, steps: string[] = [];
  const step = (name: string) => {
    steps.push(name);
    if (name === failing) throw new Error("No space left on device (os error 28)");
  };
  Deno.open = async (path, options) => {
    const file = await open(path, options), name = plain(path);
    const { write, sync } = file;
    file.write = (bytes) => {
      step(`write ${name}`);
      return write.call(file, bytes.subarray(0, 3)); // as systems may, not all at once
    };
    file.sync = () => {
      step(`sync ${name}`);
      return sync.call(file);
    };
    return file;
  };
  Deno.rename = (from, to) => {
    step(`rename ${plain(from)}`);
    return rename(from, to);
  };
  try {
    await body();
  } finally {
    Object.assign(Deno, { open, rename });
  }
  return steps;
}

Deno.test("a file is on the disk before it has its name, and its name before writeFile returns", () =>
  inDirectory(async (dir) => {
    const steps = await spied(() => writeFile(`${dir}/x`, "12345"));
    assertEquals(steps, ["write x.tmp", "write x.tmp", "sync x.tmp", "rename x.tmp", "sync "]);
    assertEquals(await Deno.readTextFile(`${dir}/x`), "12345");
    for (const failing of ["write x.tmp", "sync x.tmp", "rename x.tmp"]) {
      const write = () => writeFile(`${dir}/x`, "new");
      await assertRejects(() => spied(write, failing), Error, `Could not write ${dir}/x: No space left`);
      assertEquals([await namesIn(dir), await Deno.readTextFile(`${dir}/x`)], [["x"], "12345"]);
    }
  }));

/** Runs a command; whether it succeeded. */
async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  const options = { args, stdout: "null", stderr: "null" } as const;
  return await new Deno.Command(command, options).output().then(({ success }) => success, () => false);
}

Deno.test(
  "a full disk and a read-only one: the old file stays, and the error names the path",
  wasmOnly,
  () =>
    inDirectory(async (dir) => {
      if (!await succeeds("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir)) {
        console.log("a disk of 64 KiB could not be mounted (that is root's)");
        return;
      }
      try {
        const path = `${dir}/x`;
        await writeFile(path, "old");
        for (const size of [100_000, 60_000, 70_000]) {
          if (size === 60_000) await writeFile(path, new Uint8Array(10));
          const write = () => writeFile(path, new Uint8Array(size));
          if (size === 60_000) await write();
          else await assertRejects(write, Error, `Could not write ${path}: No space left on device`);
          assertEquals(await namesIn(dir), ["x"]);
        }
        assertEquals((await Deno.stat(path)).size, 60_000);
        assert(await succeeds("mount", "-o", "remount,ro", dir));
        await assertRejects(
          () => writeFile(path, "new"),
          Error,
          `Could not write ${path}: Read-only file system`,
        );
        assertEquals([await namesIn(dir), (await Deno.stat(path)).size], [["x"], 60_000]);
      } finally {
        await succeeds("umount", dir);
      }
    }),
);

Deno.test("without the permission the error says which", wasmOnly, () =>
  inDirectory(async (dir) => {
    const script = `import { sweepTemporaryFiles, writeFile } from "${new URL(
      "../../../core/io/files.ts",
      import.meta.url,
    )}";
      console.log(await sweepTemporaryFiles("${dir}/x"));
      await writeFile("${dir}/x", "new").catch((error) => console.log(error.message));`;
    await Deno.writeTextFile(`${dir}/script.ts`, script);
    await Deno.writeTextFile(`${dir}/x.1.12345678.tmp`, "");
    const args = ["run", "--no-prompt", "--no-config", `--allow-read=${dir}`, `${dir}/script.ts`];
    const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
    const [swept, message] = new TextDecoder().decode(stdout).split("\n");
    assertEquals(swept, "[]");
    assert(message.startsWith(`Could not write ${dir}/x: Requires write access`), message);
  }));

Deno.test(
  "what killed processes left is swept, what a living one writes is not",
  wasmOnly,
  () =>
    inDirectory(async (dir) => {
      const script = `import { writeFile } from "${new URL("../../../core/io/files.ts", import.meta.url)}";
      const content = new Uint8Array(50_000_000);
      for (let i = 1; ; i++) await writeFile("${dir}/x", content.fill(i % 256));`;
      await Deno.writeTextFile(`${dir}/script.ts`, script);
      const args = ["run", "--no-prompt", "--no-config", "-A", `${dir}/script.ts`];
      const child = new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).spawn();
      const strays = async () => (await namesIn(dir)).filter((name) => name.endsWith(".tmp"));
      const ended = child.status.then(() => true);
      try {
        // Sweeping beside it takes at most what is not locked yet, which its writer then makes anew.
        for (let sweeps = 0; sweeps < 100 || !(await strays()).length; sweeps++) {
          await sweepTemporaryFiles(`${dir}/x`);
          const pause = new Promise<false>((done) => setTimeout(() => done(false), 1));
          assertEquals(await Promise.race([ended, pause]), false, "the writer failed");
        }
      } finally {
        child.kill("SIGKILL");
        await ended;
      }
      // It was killed in a write, most likely; a second stray and a file that only looks like one are put beside it.
      const other = ["x.1.0123abcd.tmp", "x.tmp", "notes.0123abcd.tmp", `y.${Deno.pid}.0123abcd.tmp`];
      for (const name of other) await Deno.writeTextFile(`${dir}/${name}`, "");
      const writing = await Deno.open(`${dir}/${other[3]}`, { write: true });
      await writing.lock(true);
      const before = await strays(), swept = await sweepTemporaryFiles(`${dir}/x`);
      assertEquals(await strays(), [other[2], other[1], other[3]].sort());
      assertEquals(swept.sort(), before.filter((name) => !other.slice(1).includes(name)));
      const whole = await Deno.readFile(`${dir}/x`);
      assertEquals([whole.length, whole.every((v) => v === whole[0])], [50_000_000, true]);
      writing.close();
      assertEquals(await sweepTemporaryFiles(`${dir}/x`), [other[3]]);
      assertEquals(await sweepTemporaryFiles(`${dir}/nowhere/x`), []);
    }),
);

Deno.test(
  "bytes are read from a file and a server; the error names the address and says why",
  wasmOnly,
  () =>
    inDirectory(async (dir) => {
      await writeFile(`${dir}/a b`, Uint8Array.of(1, 2));
      assertEquals(await readBytes(new URL(`file://${dir}/a b`)), Uint8Array.of(1, 2));
      const missing = new URL(`file://${dir}/none`);
      const error = await assertRejects(() => readBytes(missing), Error, `Could not read ${missing}: `);
      assert(error.cause instanceof Deno.errors.NotFound);

      const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => {
        return url.endsWith("/a") ? new Response(Uint8Array.of(3)) : new Response("no", { status: 404 });
      });
      const at = `http://127.0.0.1:${server.addr.port}`;
      assertEquals(await readBytes(new URL(`${at}/a`)), Uint8Array.of(3));
      const absent = `Could not read ${at}/b: 404 Not Found`;
      await assertRejects(() => readBytes(new URL(`${at}/b`)), Error, absent);
      await server.shutdown();
      await assertRejects(() => readBytes(new URL(`${at}/a`)), Error, `Could not read ${at}/a: `);
    }),
);
