/** What docstrings say that tests can hold, by `deno doc`: errors and defaults. */
const ROOT = new URL("../", import.meta.url).pathname;

/** What is held to its docstrings so far. */
const AREAS = [
  "core/nn/",
  "core/optim/",
  "core/data/",
  "core/random.ts",
  "models/resnet/",
  "models/unet/",
  "models/scores/",
];

/** A docstring, and what it is of. */
interface Documented {
  kind?: string;
  name?: string;
  optional?: boolean;
  jsDoc?: { doc?: string; tags?: { kind: string; name?: string; doc?: string }[] };
}
interface Declaration extends Documented {
  location: { filename: string };
  def?: { constructors?: Documented[]; methods?: Documented[]; properties?: Documented[] };
}
interface Reference {
  nodes: Record<string, { symbols: { name: string; declarations: Declaration[] }[] }>;
}

/** Every function, class, method and field of the areas, by a name such as `conv2d`, `new Linear`, `Linear.forward`. */
async function symbols(): Promise<Map<string, Documented>> {
  const { exports } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const args = ["doc", "--json", ...Object.values<string>(exports)];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
  const { nodes }: Reference = JSON.parse(new TextDecoder().decode(stdout));
  const found = new Map<string, Documented>();
  for (const { name, declarations } of Object.values(nodes).flatMap((module) => module.symbols)) {
    for (const declaration of declarations) {
      const file = declaration.location.filename.split(ROOT)[1] ?? "";
      if (!AREAS.some((area) => file.startsWith(area))) continue;
      const { constructors = [], methods = [], properties = [] } = declaration.def ?? {};
      if (declaration.kind !== "reference") found.set(name, declaration);
      for (const one of constructors) found.set(`new ${name}`, one);
      for (const one of [...methods, ...properties]) {
        if (one.kind !== "setter") found.set(`${name}.${one.name}`, one);
      }
    }
  }
  return found;
}

/** What each symbol says that it throws. */
export async function documentedErrors(): Promise<Map<string, string>> {
  const errors = new Map<string, string>();
  for (const [name, { jsDoc }] of await symbols()) {
    const said = jsDoc?.tags?.filter(({ kind }) => kind === "throws").map(({ doc }) => doc);
    if (said?.length) errors.set(name, said.join(" "));
  }
  return errors;
}

/** What each field of an interface says. */
export async function documentedFields(of: string): Promise<Map<string, string>> {
  const fields = Array.from(await symbols(), ([name, { jsDoc }]) => [name, jsDoc?.doc ?? ""] as const)
    .filter(([name]) => name.startsWith(`${of}.`));
  return new Map(fields.map(([name, doc]) => [name.slice(of.length + 1), doc]));
}

/** What each option that can be left out and each parameter with a default says: `LsuvOptions.maxTries`, `dropout(axes)`. */
export async function documentedDefaults(): Promise<Map<string, string>> {
  const defaults = new Map<string, string>();
  for (const [name, { jsDoc, optional }] of await symbols()) {
    if (optional && /Options\./.test(name)) defaults.set(name, jsDoc?.doc ?? "");
    for (const { kind, name: parameter, doc = "" } of jsDoc?.tags ?? []) {
      if (kind === "param" && /\bdefault\b/i.test(doc)) defaults.set(`${name}(${parameter})`, doc);
    }
  }
  return defaults;
}
