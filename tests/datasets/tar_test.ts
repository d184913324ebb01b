/** TAR archives of pictures, gzipped or not. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { bytesOf } from "../../datasets/images/bytes.ts";
import { openTar, openTarGz } from "../../datasets/tar.ts";
import { openImageSource } from "../../mod.ts";
import { wasmOnly } from "../support.ts";
import { gzip } from "./files.ts";
import { assertRefused, contentsOf, golden } from "./sources.ts";

/** The header of a file, as tar writes it. */
function header(
  name: string,
  size: number,
  type = "0",
  edit: (block: Uint8Array) => void = () => {},
): Uint8Array {
  const block = new Uint8Array(512),
    put = (text: string, at: number) => block.set(new TextEncoder().encode(text), at);
  put(name, 0);
  put(size.toString(8).padStart(11, "0"), 124);
  put(type, 156);
  put("ustar\x0000", 257);
  edit(block);
  put("        ", 148);
  put(block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0"), 148);
  return block;
}

const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(parts.flatMap((part) => [...part]));
const END = new Uint8Array(1024);
const padded = (text: string): Uint8Array => {
  const bytes = new Uint8Array(Math.ceil(text.length / 512) * 512);
  bytes.set(new TextEncoder().encode(text));
  return bytes;
};

Deno.test({
  name:
    "TAR: GNU's and pax's long names, gzipped or not; the last of a name; dangerous names are only names; links are counted",
  ...wasmOnly,
  async fn() {
    for (const name of ["gnu.tar", "pax.tar.gz"]) {
      const source = await openImageSource(golden(name));
      assertEquals(await contentsOf(source), [
        ["../../evil.png", undefined, [9, 9, 9]],
        ["/abs/olute.png", "abs", [8, 8, 8]],
        ["cat/grün 1.png", "cat", [0, 255, 0]],
        ["cat/red.png", "cat", [255, 0, 0]],
        [`${"d".repeat(60)}/${"e".repeat(90)}ü.png`, "d".repeat(60), [1, 2, 3]],
        ["dog/blue.PNG", "dog", [0, 0, 255]],
      ]);
      assertEquals(source.others, 2);
      await source.close!();
    }
  },
});

Deno.test({
  name: "TAR: sizes in base 256 and in pax's fields, a prefix, an end without zeros",
  ...wasmOnly,
  async fn() {
    const base256 = header("b", 0, "0", (block) => block.set([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1], 124));
    const pax = padded("12 size=300\n17 path=dir/file\n");
    const prefixed = header("name", 3, "0", (block) => block.set(new TextEncoder().encode("some/dir"), 345));
    const bytes = join(
      base256,
      new Uint8Array(1024).fill(7),
      header("x", 29, "x"),
      pax,
      header("c", 0),
      padded("y".repeat(300)),
    );
    const archive = await openTar(bytesOf("a.tar", join(bytes, prefixed, padded("abc"))));
    assertEquals(archive.members.map(({ name, size }) => [name, size]), [["b", 513], ["dir/file", 300], [
      "some/dir/name",
      3,
    ]]);
    const [b, c, d] = await Promise.all(archive.members.map((member) => member.read()));
    assertEquals([b.every((byte) => byte === 7), new TextDecoder().decode(c), [...d]], [
      true,
      "y".repeat(300),
      [97, 98, 99],
    ]);
  },
});

Deno.test({
  name: "TAR: what is damaged, cut off or claims too much is named",
  ...wasmOnly,
  async fn() {
    const good = header("a.png", 600);
    for (
      const [bytes, says] of [
        [join(good, padded("x")), "the TAR archive is cut off: a.png has 512 of 600 bytes"],
        [join(good, padded("x".repeat(600)), good.slice(0, 100)), "is cut off in the header at byte 1536"],
        [
          join(good, padded("x".repeat(600)), padded("no header")),
          "is damaged: there is no header at byte 1536",
        ],
        [header("a.png", 2 ** 33 - 1), "is cut off: a.png has 0 of 8589934591 bytes"],
        [
          header("a", 0, "0", (block) => block.set(new Uint8Array(12).fill(0xff), 124)),
          "the size of a is no number",
        ],
        [header("a", 0, "0", (block) => block.fill(57, 124, 135)), "is damaged: the size of a is no number"],
        [header("a", 2 ** 21, "L"), "is damaged: a header at byte 0 claims 2097152 bytes, more than 1048576"],
        [
          join(header("a", 9, "x"), padded("not pax's")),
          "is damaged: the pax header at byte 0 cannot be read",
        ],
        [join(header("a", 12, "x"), padded("12 size=abc\n"), header("b", 0)), "the size of b is no number"],
      ] as const
    ) {
      await assertRejects(() => openTar(bytesOf("some.tar", bytes)), Error, says);
      const zipped = await gzip(bytes);
      await assertRejects(
        () => openTarGz(bytesOf("some.tar.gz", zipped)),
        Error,
        "some.tar.gz: ",
      );
    }
    const whole = await gzip(join(good, padded("x".repeat(600)), END));
    await assertRejects(
      () => openTarGz(bytesOf("a.tgz", whole.slice(0, -9))),
      Error,
      "a.tgz: the gzip data is damaged or truncated (",
    );
    await assertRefused(
      "b.tgz",
      await gzip(padded("no tar")),
      openImageSource,
      "FILE: it is gzip of neither a TAR archive nor",
    );
  },
});

Deno.test({
  name: "TAR: a small gzip that holds very much is refused before it fills memory or disk",
  ...wasmOnly,
  async fn() {
    const rss = () => Deno.memoryUsage().rss, zeros = new Uint8Array(2 ** 20);
    const parts = ReadableStream.from([header("a.png", 2 ** 31), ...new Array<Uint8Array>(64).fill(zeros)]);
    const packed = parts.pipeThrough(
      new CompressionStream("gzip") as ReadableWritablePair<Uint8Array, Uint8Array>,
    );
    const bomb = new Uint8Array(await new Response(packed as BodyInit).arrayBuffer()), before = rss();
    await assertRejects(
      () => openTarGz(bytesOf("a.tgz", bomb)),
      Error,
      "a.tgz: it holds 2147484160 bytes or more, in ",
    );
    assert(rss() - before < 100e6, `${rss() - before} bytes more`);
    const large = bytesOf("b.tgz", await gzip(join(header("b.png", 2 ** 28 + 1), padded("x"))));
    await assertRejects(() => openTarGz(large), Error, "is cut off: b.png has 512 of 268435457 bytes");
    const claims = { ...bytesOf("c.tar", header("c.png", 2 ** 29)), size: 2 ** 30 };
    const { members: [member] } = await openTar({
      ...claims,
      read: (start, end) =>
        Promise.resolve(
          header("c.png", 2 ** 29).slice(start, end).length
            ? new Uint8Array(header("c.png", 2 ** 29))
            : new Uint8Array(end - start),
        ),
    });
    await assertRejects(
      () => member.read(),
      Error,
      "it claims to be of 536870912 bytes; a picture is read up to 268435456",
    );
  },
});
