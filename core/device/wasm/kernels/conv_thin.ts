/** Convolutions of few channels, whose kernels write outputs without gaps. */
import { Kernel } from "../assembly/abi.ts";

/** The kernels of a convolution by a packed filter: what packs it, what convolves, and what gives its gradient. */
export interface ConvKernels {
  pack: Kernel.packFilter | Kernel.packRun;
  conv: Kernel.conv | Kernel.convFewIn | Kernel.convFewOut;
  filterGrad: Kernel.convFilterGrad | Kernel.convFilterGradFewIn | Kernel.convFilterGradFewOut;
}

/** Most input channels and products a pixel with which inputs are gathered; most output channels to be summed one by one. */
const MAX_IN_CHANNELS = 4, MAX_PRODUCTS = 128, MAX_OUT_CHANNELS = 3;

/** The kernels for so few channels; undefined if there are too many. */
export function thinKernels(channels: number, outChannels: number, taps: number): ConvKernels | undefined {
  if (channels <= MAX_IN_CHANNELS && channels * taps <= MAX_PRODUCTS) {
    return { pack: Kernel.packFilter, conv: Kernel.convFewIn, filterGrad: Kernel.convFilterGradFewIn };
  }
  if (outChannels <= MAX_OUT_CHANNELS) {
    return { pack: Kernel.packRun, conv: Kernel.convFewOut, filterGrad: Kernel.convFilterGradFewOut };
  }
  return undefined;
}
