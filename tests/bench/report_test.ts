/** The tables of bench/README.md. */
import { assertEquals } from "@std/assert";
import { mergeRows } from "../../bench/report.ts";
import { mergeSections } from "../../bench/webgpu.ts";
import { wasmOnly } from "../support.ts";

const OLD = `
CPU, 2 threads.

| case  |   ours | rate |
| :---- | -----: | ---: |
| conv  | 0.1 ms |    1 |
| conv 2| 0.2 ms |    2 |

- U-Net: peak resident memory 1 MiB
- ResNet: peak resident memory 2 MiB
`;

Deno.test(
  "the rows that were measured again replace theirs, new ones follow, all others stay",
  wasmOnly,
  () => {
    const other = `
OTHER CPU

| case | ours | rate |
| :-- | --: | --: |
| conv 2 | 9 ms | 9 |
| norm | 8 ms | 8 |

- ResNet: peak resident memory 7 MiB
`;
    assertEquals(
      mergeRows(OLD.replace("conv 2|", "conv 2 |"), other),
      OLD.replace("| conv 2| 0.2 ms |    2 |", "| conv 2 | 9 ms | 9 |\n| norm | 8 ms | 8 |")
        .replace("ResNet: peak resident memory 2", "ResNet: peak resident memory 7"),
    );
    assertEquals(mergeRows(OLD, ""), OLD);
  },
);

Deno.test("the same for the cases of WebGPU", wasmOnly, () => {
  const section = (title: string, n: number) =>
    `${title}, on llvmpipe:\n\n|  | ours |\n| :-- | --: |\n| MB | ${n} |`;
  const old = `\n${section("A", 1)}\n\n${section("B", 2)}\n\n`;
  assertEquals(
    mergeSections(old, `\n${section("B", 3)}\n\n`),
    `\n${section("A", 1)}\n\n${section("B", 3)}\n\n`,
  );
  assertEquals(mergeSections(old, `\n${section("C", 4)}\n\n`), `${old}${section("C", 4)}\n\n`);
  assertEquals(mergeSections(old, old), old);
});
