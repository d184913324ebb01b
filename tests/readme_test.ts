/** The README shows what is. */
import { assert, assertEquals } from "@std/assert";
import * as d from "../mod.ts";
import { PRESETS } from "../tasks/presets.ts";
import { wasmOnly } from "./support.ts";

const read = (path: string) => Deno.readTextFile(new URL(`../${path}`, import.meta.url));

Deno.test({
  name: "the README's script is examples/train.ts, its pictures and files are there",
  ...wasmOnly,
  async fn() {
    const readme = await read("README.md");
    assert(readme.includes(await read("examples/train.ts")), "the script in the README is another");
    for (const [, path] of readme.matchAll(/\]\((?!http)([^)#]+)\)/g)) {
      await Deno.stat(new URL(`../${path}`, import.meta.url));
    }
  },
});

/** The cells of the README's table whose head begins with a text. */
async function tableOf(head: string): Promise<string[][]> {
  const lines = (await read("README.md")).split("\n"),
    first = lines.findIndex((line) => line.startsWith(head));
  assert(first >= 0, `no table ${head}`);
  const rows = lines.slice(first, lines.indexOf("", first)).filter((line) => !/^\| :?--/.test(line));
  return rows.map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}

Deno.test({
  name: "the README's presets are those of the tasks, and what it leaves out is alike in all",
  ...wasmOnly,
  async fn() {
    const [[, ...heads], ...rows] = await tableOf("| flag ");
    const names = heads.map((head) => head.replaceAll("`", ""));
    assertEquals(names, Object.keys(PRESETS));
    const word = (value: unknown) => value === true ? "yes" : value === false ? "no" : String(value);
    const told = rows.map(([flag, ...cells]) => {
      const key = flag.replace(/^`--|`$/g, "").replace(/-./g, (part) => part[1].toUpperCase());
      const values = names.map((name) => PRESETS[name][key as keyof typeof PRESETS[string]]);
      assertEquals(cells, values.map((value) => [value].flat().map(word).join(",")), flag);
      return key;
    });
    const { quick } = PRESETS;
    for (const [name, preset] of Object.entries(PRESETS)) {
      for (const [key, value] of Object.entries(preset)) {
        if (key === "preset" || told.includes(key)) continue;
        assertEquals(value, quick[key as keyof typeof quick], `${name}: ${key}`);
      }
    }
  },
});

Deno.test({
  name: "the README's names are exports, and its table of tasks has them all",
  ...wasmOnly,
  async fn() {
    const rows = await tableOf("| for ");
    const names = rows.slice(1).flatMap(([, text]) => [...text.matchAll(/`(\w+)`/g)].map(([, name]) => name));
    assert(names.length > 50);
    assertEquals(names.filter((name) => !(name in d)), []);
    const tasks = [...(await read("README.md")).matchAll(/^\| `deno task (\S+)`/gm)].map(([, name]) => name);
    assertEquals(tasks.sort(), Object.keys(JSON.parse(await read("deno.json")).tasks).sort());
  },
});
