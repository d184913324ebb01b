/** The walls of the house: which module may import which, what a `mod.ts` is, what lies beside what. */
import { assert, assertEquals } from "@std/assert";
import * as denoise from "../mod.ts";
import { BY_REFERENCE, wasmOnly } from "./support.ts";

const { ops } = denoise;

const ROOT = new URL("../", import.meta.url);

/** What each member may import, besides itself and by the other's `mod.ts` alone. */
const ARROWS: Record<string, string[]> = {
  "core": [],
  "datasets": ["core"],
  "callbacks": ["core"],
  "models/resnet": ["core", "datasets", "callbacks"],
  "models/unet": ["core", "datasets", "callbacks"],
  "models/ddpm": ["core", "datasets", "callbacks", "models/unet", "models/resnet"],
  "models/diffusion": ["core", "datasets", "callbacks", "models/unet", "models/resnet", "models/ddpm"],
  "models/scores": ["core", "callbacks", "models/resnet"],
};

/** Where kernels are, and what there is no op or kernel, but used by them. */
const KERNELS: Record<string, string[]> = {
  "core/device/wasm/assembly": ["abi", "args", "index", "row", "simd", "tile"],
  "core/device/wasm/kernels": ["context"],
  "core/device/webgpu": ["chunks", "gather", "gpu", "problems", "product", "shader", "start", "trials"],
};

/** Modules that mod.ts exports as namespaces by themselves: deno doc finds what is said of one only there. */
const NAMESPACES = ["core/nn/functional.ts", "core/nn/init.ts"];

/** Modules that name a tfjs package. */
const TFJS = ["core/tf.ts", "core/device/wasm/tfjs_binary.js"]; // TypeScript has no grammar for `import source`

/** Files of the repository, by their place in it: those that git knows of or would add. */
async function filesOf(...paths: string[]): Promise<string[]> {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", ...paths];
  const { stdout } = await new Deno.Command("git", { args, cwd: ROOT }).output();
  const names = new TextDecoder().decode(stdout).trim().split("\n");
  const there = names.map((name) => Deno.stat(new URL(name, ROOT)).then(() => name, () => ""));
  return [...new Set(await Promise.all(there))].filter(Boolean);
}

const read = (path: string): Promise<string> => Deno.readTextFile(new URL(path, ROOT));

/** The member that a file belongs to; undefined for those of none. */
const memberOf = (path: string): string | undefined =>
  Object.keys(ARROWS).find((member) => path.startsWith(`${member}/`));

/** Every module that is shipped or a task, AssemblyScript apart. */
const modules = (await filesOf("mod.ts", "tasks", ...Object.keys(ARROWS)))
  .filter((path) => /\.(ts|js)$/.test(path) && !/\/assembly\/(?!abi\.ts)/.test(path));

/** AssemblyScript, which becomes the kernel module. */
const assembly = await filesOf("core/device/wasm/assembly/*.ts");

/** One import of a module. */
interface Import {
  from: string;
  /** As it is written. */
  specifier: string;
  /** The file, for one in the repository. */
  to?: string;
  /** Whether only types are imported. */
  typeOnly: boolean;
}

/** The imports of all modules, as `deno info` tells them. */
async function importsOf(paths: string[]): Promise<Import[]> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(entry, paths.map((path) => `import "${new URL(path, ROOT)}";\n`).join(""));
  const args = ["info", "--json", "--config", new URL("deno.json", ROOT).pathname, entry];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
  await Deno.remove(entry);
  type Target = { specifier: string };
  type Dependency = { specifier: string; code?: Target; type?: Target };
  const graph: { modules: { specifier: string; dependencies?: Dependency[] }[] } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  const place = (url: string) => url.startsWith(ROOT.href) ? url.slice(ROOT.href.length) : undefined;
  return graph.modules.flatMap(({ specifier: url, dependencies = [] }) => {
    const from = place(url);
    if (from === undefined) return [];
    return dependencies.map(({ specifier, code, type }) => {
      const to = place((code ?? type)?.specifier ?? "");
      return { from, specifier, to, typeOnly: code === undefined };
    });
  });
}

const imports = wasmOnly.ignore ? [] : await importsOf(modules);

/** The file names in a folder, without their ending. */
const namesIn = (folder: string): string[] =>
  modules.concat(assembly).filter((path) => path.startsWith(`${folder}/`))
    .map((path) => path.slice(folder.length + 1, -3)).filter((name) => !name.includes("/"));

/** Declares a test that lists what breaks a rule. */
function rule(name: string, broken: () => string[] | Promise<string[]>): void {
  Deno.test({ name, ...wasmOnly, fn: async () => assertEquals(await broken(), []) });
}

Deno.test({
  name: "the modules of the repository and their imports are seen",
  ...wasmOnly,
  fn() {
    assert(
      modules.length > 80 && imports.length > 300,
      `${modules.length} modules, ${imports.length} imports`,
    );
    assert(imports.some(({ typeOnly }) => typeOnly));
  },
});

rule("no module imports itself by a circle of values", () => {
  const next = Map.groupBy(imports.filter(({ to, typeOnly }) => to && !typeOnly), ({ from }) => from);
  const done = new Set<string>(), circles: string[] = [];
  const visit = (path: string, trail: string[]) => {
    if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(" → "));
    if (done.has(path) || trail.includes(path)) return;
    for (const { to } of next.get(path) ?? []) visit(to!, [...trail, path]);
    done.add(path);
  };
  for (const path of next.keys()) visit(path, []);
  return circles;
});

/** What times the kernels themselves, and what runs before each task and must load nothing. */
const WHOLE_TREE = ["tasks/bench.ts", "tasks/grants.ts"];

rule(
  "arrows point one way, and to a member's mod.ts",
  () =>
    imports.filter(({ from }) => modules.includes(from) && !WHOLE_TREE.includes(from)).flatMap(
      ({ from, to }) => {
        if (to === undefined) return [];
        const here = memberOf(from), there = memberOf(to);
        const allowed = here === undefined
          ? to.endsWith("mod.ts") || from === "mod.ts" && NAMESPACES.includes(to) ||
            from.startsWith("tasks/") && to.startsWith("tasks/")
          : here === there || there !== undefined && ARROWS[here].includes(there) && to === `${there}/mod.ts`;
        return allowed ? [] : [`${from} → ${to}`];
      },
    ),
);

rule("a mod.ts only re-exports, by names", async () => {
  const faces = modules.filter((path) =>
    path === "mod.ts" || path.endsWith("/mod.ts") && !path.includes("/device/")
  );
  const sources = await Promise.all(faces.map(read));
  return faces.flatMap((path, i) => {
    const code = sources[i].replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
    const statements = code.split(";").map((s) => s.trim().replace(/\s+/g, " ")).filter(Boolean);
    const wrong = statements.filter((s) =>
      !/^export (type )?(\{[^}]*\}|\* as \w+) from "[^"]+"$/.test(s) && s !== 'import "./attach.ts"'
    );
    return wrong.map((statement) => `${path}: ${statement}`);
  });
});

rule("each namespace of mod.ts is a part of the package with a reference of its own", async () => {
  const { exports }: { exports: Record<string, string> } = JSON.parse(await read("deno.json"));
  const namespaces = (await read("mod.ts")).matchAll(/^export \* as \w+ from "(.*)";$/gm);
  return [...namespaces].map(([, path]) => path).filter((path) => !Object.values(exports).includes(path));
});

rule(
  "shipped modules import by relative path, pinned npm: or node:, so that import by URL works",
  () =>
    imports.filter(({ from }) => !from.startsWith("tasks/")).filter(({ specifier }) =>
      !/^(\.\.?\/|node:|npm:(@[^@/]+\/)?[^@/]+@\d+\.\d+\.\d+(\/|$))/.test(specifier)
    ).map(({ from, specifier }) => `${from}: ${specifier}`),
);

rule(
  "shipped modules import node: only where it is needed, by import(), so that a page loads their bundle",
  async () => {
    const shipped = modules.filter(memberOf), sources = await Promise.all(shipped.map(read));
    return shipped.filter((_, i) => /^(import|export)\b[^;]*\bfrom "node:|^import "node:/m.test(sources[i]));
  },
);

rule(
  "only core/tf.ts names a tfjs package",
  () =>
    imports.filter(({ from, specifier }) => specifier.includes("@tensorflow/") && !TFJS.includes(from))
      .map(({ from, specifier }) => `${from}: ${specifier}`),
);

rule("no literal is spread only to fill a line", async () => {
  const sources = (await filesOf("*.ts")).filter((path) => !/\.gen\.ts$|\/assembly\//.test(path));
  const texts = await Promise.all(sources.map(read));
  return sources.flatMap((path, i) => {
    const spreads = [...texts[i].matchAll(/\.\.\.[{[]/g)].filter(({ index }) => {
      let depth = 0, end = index + 3;
      do {
        if ("{[(".includes(texts[i][end])) depth++;
        if ("}])".includes(texts[i][end])) depth--;
        end++;
      } while (depth > 0 && end < texts[i].length);
      return texts[i][end] !== "."; // what a method makes of a literal is no literal
    });
    return spreads.map(({ index }) => `${path}:${texts[i].slice(0, index).split("\n").length}`);
  });
});

rule("kernel files have the names of the ops' files, on both devices", () => {
  const ours = new Set(namesIn("core/ops"));
  const strange = Object.entries(KERNELS).flatMap(([folder, others]) =>
    namesIn(folder).filter((name) => !others.includes(name) && !ours.has(name.replace(/^conv_.*/, "conv")))
      .filter((name) => name !== "concat") // tfjs's own op, made faster
      .map((name) => `${folder}/${name}.ts`)
  );
  const [compiled, called] = ["assembly", "kernels"].map((folder) => `core/device/wasm/${folder}`)
    .map((folder) => namesIn(folder).filter((name) => !KERNELS[folder].includes(name)));
  return [...strange, ...new Set(compiled).symmetricDifference(new Set(called))];
});

rule(
  "each op has a kernel in the file of its name on both devices, or is listed as one without",
  async () => {
    const missing: string[] = [];
    for (const name of namesIn("core/ops")) {
      const source = await read(`core/ops/${name}.ts`);
      for (const [, op] of source.matchAll(/^export const (\w+): Op</gm)) {
        for (const device of ["wasm", "webgpu"] as const) {
          const folder = device === "wasm" ? "core/device/wasm/kernels" : "core/device/webgpu";
          const kernels = await read(`${folder}/${name}.ts`).catch(() => "");
          const listed = BY_REFERENCE[device].includes(op);
          if (new RegExp(`\\b${op}\\b`).test(kernels) === listed) {
            missing.push(
              `${op} in ${folder}/${name}.ts`,
            );
          }
        }
        if (!(op in ops.OPS)) missing.push(`${op} in core/ops/table.ts`);
      }
    }
    return missing;
  },
);

rule("nothing waits for a GPU: tensors are read by await, or where their numbers are in memory", async () => {
  const sources = await Promise.all(modules.map(read));
  return modules.filter((path, i) => path !== "core/tf.ts" && /\.(dataSync|arraySync)\(/.test(sources[i]));
});

rule("files are written whole or not at all: by writeFile", async () => {
  const sources = await Promise.all(modules.map(read));
  return modules.filter((path, i) =>
    path !== "core/io/files.ts" && /Deno\.(writeFile|writeTextFile|create|copyFile)/.test(sources[i])
  );
});

rule("every callback is in docs/callbacks.md", async () => {
  const docs = await read("docs/callbacks.md");
  const callbacks = Object.entries(denoise).filter(([, value]) =>
    typeof value === "function" && value.prototype instanceof denoise.Callback
  );
  assert(callbacks.length > 20);
  return callbacks.map(([name]) => name).filter((name) => !docs.includes(`\`${name}`));
});

/** Where a module is tested that has no test of its name. */
const TESTED_IN: Record<string, string> = {
  "callbacks/attach": "callbacks/lr_finder_test", // and those of the other tools
  "callbacks/checkpoint_file": "callbacks/checkpoint_test",
  "callbacks/order": "callbacks/every_callback_test",
  "core/io/weight_files": "models/diffusion/pipelines/pipeline_test",
  "core/learner/cancel": "core/learner/fit_test",
  "core/learner/check": "core/learner/fit_test",
  "core/learner/finite": "core/learner/fit_test",
  "core/learner/steps": "core/learner/learner_test",
  "core/learner/tensors": "core/learner/fit_test",
  "core/learner/tools": "callbacks/lr_finder_test", // types alone
  "core/learner/train_learner": "core/learner/learner_test",
  "core/ops/adam": "core/optim/adam_test",
  "core/ops/check": "core/ops/table_test",
  "core/ops/loss_scale": "callbacks/mixed_precision_test",
  "core/ops/op": "core/ops/table_test",
  "core/ops/random": "core/random_test",
  "core/ops/reduce": "core/ops/table_test",
  "core/tf": "device_test",
  "core/vis/progress": "callbacks/progress_test",
  "models/diffusion/pipelines/scheduler_config": "models/diffusion/pipelines/scheduler_test",
  "models/diffusion/samplers/coordinates": "models/diffusion/samplers/convergence_test",
  "models/diffusion/samplers/ddim": "models/diffusion/samplers/golden_test",
  "models/diffusion/samplers/dpm_solver": "models/diffusion/samplers/golden_test",
  "models/diffusion/samplers/euler": "models/diffusion/samplers/golden_test",
  "models/diffusion/samplers/heun": "models/diffusion/samplers/golden_test",
  "models/diffusion/samplers/lms": "models/diffusion/samplers/golden_test",
  "models/diffusion/samplers/midpoint": "models/diffusion/samplers/convergence_test",
  "models/diffusion/samplers/pndm": "models/diffusion/samplers/golden_test",
  "models/diffusion/samplers/unipc": "models/diffusion/samplers/golden_test",
  "models/unet/blocks/activation": "models/unet/configs_test",
  "models/unet/blocks/attention": "models/unet/blocks_test",
  "models/unet/blocks/by_type": "models/unet/configs_test",
  "models/unet/blocks/down": "models/unet/blocks_test",
  "models/unet/blocks/mid": "models/unet/blocks_test",
  "models/unet/blocks/options": "models/unet/blocks_test",
  "models/unet/blocks/resize": "models/unet/blocks_test",
  "models/unet/blocks/resnet": "models/unet/blocks_test",
  "models/unet/blocks/skip_down": "models/unet/blocks_test",
  "models/unet/blocks/skip_parts": "models/unet/configs_test",
  "models/unet/blocks/skip_up": "models/unet/blocks_test",
  "models/unet/blocks/up": "models/unet/blocks_test",
  "datasets/fashion_mnist_subset.gen": "datasets/fashion_mnist_test",
  "datasets/images/archive": "datasets/zip_test",
  "datasets/images/placed_file": "datasets/images/store_test",
  "datasets/images/rows": "datasets/npy_test",
  "datasets/images/source": "datasets/images/dataset_test", // types alone
  "datasets/images/worker": "datasets/images/threads_test",
  "datasets/images/worker.gen": "build_test",
};

rule("each module is tested in a file of its name, or listed with the test that it shares", async () => {
  const tests = new Set(await filesOf("tests"));
  // Devices have kernels, which the table of operations compares with their references.
  const shipped = modules.filter((path) => memberOf(path) && !/^core\/device\/|\/mod\.ts$/.test(path))
    .map((path) => path.replace(/\.ts$/, ""));
  const strange = Object.keys(TESTED_IN).filter((path) => !shipped.includes(path));
  return [
    ...strange,
    ...shipped.map((path) => `tests/${TESTED_IN[path] ?? `${path}_test`}.ts`).filter((path) =>
      !tests.has(path)
    ),
  ];
});
