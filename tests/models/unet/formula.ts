/** Numbers that follow from their names, which tests/golden/make_unet.py makes too: files hold outputs alone. */
import { fromTorch, HostArray, type Module, type StateDict, toTorch } from "../../../mod.ts";

/** Numbers from −0.5 to 0.5: FNV-1a of the name, then a hash of the place. */
function uniform(name: string, count: number): Float64Array {
  let seed = 2166136261;
  for (const byte of new TextEncoder().encode(name)) seed = Math.imul(seed ^ byte, 16777619) >>> 0;
  return Float64Array.from({ length: count }, (_, i) => {
    let x = (seed + Math.imul(i, 0x9E3779B9)) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x7FEB352D);
    x = Math.imul(x ^ (x >>> 15), 0x846CA68B);
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32 - 0.5;
  });
}

/** Numbers of a name, times `scale`, plus `shift`; images in PyTorch's order of axes. */
export function formula(name: string, shape: number[], scale = 1, shift = 0): HostArray {
  const count = shape.reduce((a, b) => a * b, 1);
  return new HostArray(Float32Array.from(uniform(name, count), (u) => u * scale + shift), shape);
}

/** A parameter of a U-Net in PyTorch's layout. */
function weight(name: string, shape: number[]): HostArray {
  if (shape.length >= 2) {
    const fanIn = shape.slice(1).reduce((a, b) => a * b, 1);
    return formula(name, shape, Math.sqrt(12 / fanIn));
  }
  if (name === "time_proj.weight") return formula(name, shape, 4);
  return formula(name, shape, 0.4, name.includes("norm") && name.endsWith("weight") ? 1 : 0);
}

/** What a U-Net's state dict is by the formula; the caller frees it. */
export async function formulaState(model: Module): Promise<StateDict> {
  const own = await toTorch(model.stateDict());
  return fromTorch(Object.fromEntries(Object.keys(own).map((name) => [name, weight(name, own[name].shape)])));
}
