/** Starts the WebGPU device: tfjs's backend on an adapter of ours, with our kernels. */
import { castInputs } from "../../ops/dtypes.ts";
import { takeNoElements } from "../../ops/no_elements.ts";
import { loadWebGPUBackend } from "../../tf.ts";
import { formerBackend, installBackend, removeBackend, restoreBackend } from "../backend.ts";
import { registerAdam } from "./adam.ts";
import { registerAttention } from "./attention.ts";
import { registerBatchNorm } from "./batchnorm.ts";
import { registerConv } from "./conv.ts";
import { registerElementwise } from "./elementwise.ts";
import { registerGather } from "./gather.ts";
import { Gpu } from "./gpu.ts";
import { registerGroupNorm } from "./groupnorm.ts";
import { registerLoss } from "./loss.ts";
import { registerLossScale } from "./loss_scale.ts";
import { registerMatMul } from "./matmul.ts";
import { registerRandom } from "./random.ts";
import { registerReduce } from "./reduce.ts";
import { registerResample } from "./resample.ts";
import { registerSoftmax } from "./softmax.ts";

/** Software adapters by the names that drivers give them, for runtimes without `isFallbackAdapter`. */
const SOFTWARE = /llvmpipe|lavapipe|swiftshader|software|basic render/i;

/** What we ask of a device, where its adapter has it. */
const FEATURES = ["timestamp-query", "shader-f16"] as const;
/** Limits that a device takes over from its adapter. */
const LIMITS = [
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupSizeX",
  "maxComputeInvocationsPerWorkgroup",
  "maxStorageBuffersPerShaderStage",
] as const;

const REGISTER = [
  registerAdam,
  registerAttention,
  registerBatchNorm,
  registerConv,
  registerElementwise,
  registerGather,
  registerGroupNorm,
  registerLoss,
  registerLossScale,
  registerMatMul,
  registerRandom,
  registerReduce,
  registerResample,
  registerSoftmax,
];

/** An adapter and what it is. */
export interface Found {
  adapter: GPUAdapter;
  /** Whether a processor does the work, slower than our WASM kernels. */
  software: boolean;
  detail: string;
}

/** The machine's fastest adapter, if it has any. */
export async function findAdapter(): Promise<Found | undefined> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return undefined;
  const info = adapter.info as GPUAdapterInfo & { isFallbackAdapter?: boolean };
  const detail = info.description || [info.vendor, info.architecture].filter(Boolean).join(" ") ||
    "unnamed adapter";
  return { adapter, software: !!info.isFallbackAdapter || SOFTWARE.test(detail), detail };
}

/** A started WebGPU device. */
export interface Started {
  gpu: Gpu;
  /** Takes it out, and destroys it. */
  close(): void;
}

/**
 * Starts tfjs's backend on an adapter, with our kernels.
 * @param debug see {@link Gpu}
 */
export async function startWebGPU({ adapter }: Found, debug: boolean): Promise<Started> {
  const former = formerBackend("webgpu");
  try {
    const { Backend } = await loadWebGPUBackend();
    const device = await adapter.requestDevice({
      requiredFeatures: FEATURES.filter((name) => adapter.features.has(name)),
      requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
    });
    const backend = new Backend(device, adapter.info), gpu = new Gpu(backend, debug);
    installBackend("webgpu", backend, () => {
      for (const register of REGISTER) register(gpu);
      castInputs("webgpu");
      takeNoElements("webgpu");
    });
    return {
      gpu,
      close() {
        removeBackend(former, backend);
        gpu.close();
      },
    };
  } catch (error) {
    restoreBackend(former);
    throw error;
  }
}
