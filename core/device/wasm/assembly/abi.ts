/**
 * What the kernel module and the JavaScript that calls it agree on; both sides import this file, as AssemblyScript and
 * as TypeScript. Arguments are 32-bit words, in the order of their enum; where a comment says float, a float's bits.
 * Addresses are in bytes, sizes and steps in floats. A tensor that may be absent has the address 0.
 */

/** The kernels. */
export enum Kernel {
  pack,
  matmul,
  packFilter,
  conv,
  convFilterGrad,
  groupNorm,
  groupNormGrad,
  attention,
  attentionGrad,
  map,
  copyColumns,
  upsample,
  upsampleGrad,
  sumRows,
  adam,
  random,
  sumParts,
  sumTotals,
  addChannels,
  winogradFilter,
  winogradConv,
  winogradFilterGrad,
  winogradFilterGradSum,
  softmax,
  squaredError,
  crossEntropy,
  crossEntropyGrad,
  channelSums,
  batchNormStats,
  batchNormGradStats,
  channelAffine,
  convFewIn,
  convFewOut,
  convFilterGradFewIn,
  convFilterGradFewOut,
  packRun,
  averagePool,
  averagePoolGrad,
  convSmall,
  convSmallFilterGrad,
}

/**
 * The control block of a dispatch: where its fields lie, in bytes. All are 32-bit words but the tickets of 64 bits: the
 * end of a thread's tasks above, the next of them below, so that one atomic add claims a task.
 */
export enum Control {
  /** Tasks not done yet. */
  left = 0,
  /** The dispatch's number, what idle threads wait on. */
  dispatch = 12,
  /** Threads that sleep. */
  sleeping = 16,
  /** Set by a thread that died. */
  dead = 20,
  kernel = 24,
  /** Address of the first thread's scratch memory, and the bytes that each thread has. */
  scratch = 28,
  scratchBytes = 32,
  /** Threads that take part. */
  threads = 36,
  args = 64,
  /** One a thread, {@link TICKET_BYTES} apart. */
  tickets = 16384,
}
/** Bytes from ticket to ticket: a cache line. */
export const TICKET_BYTES = 64;
/** What stands in place of a dispatch's number when the pool is closed: more than any of them. */
export const CLOSED = 0x1000000;
/** How long a thread works without a turn of its event loop. */
export const SERVE_MS = 250;
/** Most threads, the caller's included. */
export const MAX_THREADS = 64;

/** Rows and columns of a register tile; a panel of a packed matrix is as wide as a tile. */
export const MR = 6;
export const NR = 8;
/** Floats, or random numbers, of a task of the elementwise kernels. */
export const CHUNK = 16384;
/** Input channels of a task of the small filter gradient: sixteen strips of a tile's rows. */
export const STRIPS = 96;
/** Elements of a transformed Winograd tile. */
export const WINOGRAD_ELEMENTS = 36;

export enum PackArgs {
  matrix,
  batchStep,
  rowStep,
  columnStep,
  k,
  n,
  panels,
}

export enum MatMulArgs {
  a,
  aBatchStep,
  aRowStep,
  transposeA,
  panels,
  panelBatchStep,
  m,
  n,
  k,
  out,
  outBatchStep,
  outRowStep,
  bias,
  /** A tensor like the output, added to it. */
  add,
  rowsPerTask,
}

/** Of packFilter and packRun. */
export enum FilterArgs {
  /** [kh, kw, channels, outChannels]. */
  filter,
  channels,
  outChannels,
  packed,
  /** Whether input and output channels change places. */
  flip,
  taps,
  /** A list: the number, row · kw + column, of each tap in the order wanted. */
  tapNumbers,
}

/** Of conv, convSmall, convFewIn and convFewOut. */
export enum ConvArgs {
  input,
  images,
  height,
  width,
  channels,
  kernelHeight,
  kernelWidth,
  stride,
  /** Where the first output's first tap lies in the input; negative in the padding. */
  startRow,
  startColumn,
  outHeight,
  outWidth,
  out,
  imageStep,
  rowStep,
  columnStep,
  outChannels,
  panels,
  bias,
  /** A tensor laid out as the output, added to it. */
  add,
  imagesPerTask,
  rowsPerTask,
}

/** Of convFilterGrad, convFilterGradFewIn and convFilterGradFewOut; they share functions with those of {@link ConvArgs}. */
export enum ConvFilterGradArgs {
  input = ConvArgs.input,
  images = ConvArgs.images,
  height = ConvArgs.height,
  width = ConvArgs.width,
  channels = ConvArgs.channels,
  kernelHeight = ConvArgs.kernelHeight,
  kernelWidth = ConvArgs.kernelWidth,
  stride = ConvArgs.stride,
  startRow = ConvArgs.startRow,
  startColumn = ConvArgs.startColumn,
  outHeight = ConvArgs.outHeight,
  outWidth = ConvArgs.outWidth,
  dy,
  /** A filter's gradient a group. */
  parts,
  imagesPerGroup,
  imagesPerBlock,
  outChannels,
  rowsPerBlock,
}

export enum ConvSmallFilterGradArgs {
  input,
  images,
  height,
  width,
  channels,
  kernelHeight,
  kernelWidth,
  stride,
  startRow,
  startColumn,
  outHeight,
  outWidth,
  dy,
  dw,
  /** Pixels that a block has at most, if one image has no more. */
  pixelsPerBlock,
  outChannels,
}

export enum WinogradFilterArgs {
  filter,
  channels,
  outChannels,
  /** [36][panels][channels][8]. */
  transformed,
  flip,
  kernelSize,
  /** As of {@link FilterArgs}. */
  tapNumbers,
}

export enum WinogradConvArgs {
  input,
  images,
  height,
  width,
  channels,
  startRow,
  startColumn,
  outHeight,
  outWidth,
  out,
  outChannels,
  /** The filter, as {@link WinogradFilterArgs} has it. */
  transformed,
  bias,
  /** A tensor laid out as the output, added to it. */
  add,
  tileRowsPerTask,
  kernelSize,
}

export enum WinogradFilterGradArgs {
  input,
  images,
  height,
  width,
  channels,
  startRow,
  startColumn,
  outHeight,
  outWidth,
  dy,
  outChannels,
  /** [groups][36][channels][outChannels]. */
  parts,
  tileRowsPerGroup,
  tileRowsPerBlock,
  kernelSize,
}

export enum WinogradFilterGradSumArgs {
  /** As of {@link WinogradFilterGradArgs}. */
  parts,
  groups,
  channels,
  outChannels,
  dw,
  kernelSize,
}

export enum GroupNormArgs {
  x,
  pixels,
  channels,
  groups,
  gamma,
  beta,
  /** Float. */
  eps,
  y,
  /** [images, groups], as rstd. */
  mean,
  rstd,
  /** Whether SiLU follows. */
  silu,
}

export enum GroupNormGradArgs {
  x,
  pixels,
  channels,
  groups,
  gamma,
  beta,
  dy,
  dx,
  mean,
  rstd,
  silu,
  /** [images, channels], as dBeta. */
  dGamma,
  dBeta,
}

export enum ChannelSumsArgs {
  x,
  dy,
  rows,
  channels,
  /** [tasks, 2, channels]. */
  parts,
  rowsPerTask,
}

export enum BatchNormStatsArgs {
  /** Of channelSums. */
  parts,
  partCount,
  rows,
  channels,
  x,
  gamma,
  beta,
  /** Float. */
  eps,
  mean,
  variance,
  rstd,
  /** y = scale · x + shift a channel. */
  scale,
  shift,
}

export enum BatchNormGradStatsArgs {
  /** Of channelSums. */
  parts,
  partCount,
  rows,
  channels,
  gamma,
  mean,
  rstd,
  dGamma,
  dBeta,
  /** dx = dyScale · dy + xScale · x + shift a channel. */
  dyScale,
  xScale,
  shift,
}

export enum ChannelAffineArgs {
  u,
  x,
  rows,
  channels,
  y,
  rowsPerTask,
  uScale,
  xScale,
  shift,
}

export enum AttentionArgs {
  q,
  k,
  v,
  y,
  /** Tokens of an image. */
  tokens,
  channels,
  heads,
  /** Float. */
  scale,
  /** Row maxima and 1/sums, [images, heads, tokens, 2]. */
  stats,
}

export enum AttentionGradArgs {
  q,
  k,
  v,
  dy,
  tokens,
  channels,
  heads,
  /** Float. */
  scale,
  stats,
  dq,
  dk,
  dv,
  y,
}

/** The elementwise functions f(a, b, s, t) of the kernel map. */
export enum MapOp {
  /** a · sigmoid(a). */
  silu,
  /** b · silu′(a). */
  siluGrad,
  /** a · Φ(a). */
  gelu,
  /** b · gelu′(a). */
  geluGrad,
  add,
  sub,
  mul,
  /** a · s. */
  scale,
  /** (a − b) · s. */
  scaledDifference,
  /** (a > 0 ? a : a · s) − t. */
  leaky,
  /** a > 0 ? b : b · s. */
  leakyGrad,
  maximum,
  minimum,
  /** min(max(a, s), t). */
  clip,
}

export enum MapArgs {
  /** A {@link MapOp}. */
  op,
  length,
  out,
  a,
  b,
  /** Float, as t. */
  s,
  t,
}

export enum AddChannelsArgs {
  x,
  pixels,
  channels,
  b,
  y,
}

export enum CopyColumnsArgs {
  from,
  fromStep,
  to,
  toStep,
  width,
  rows,
  rowsPerTask,
}

export enum UpsampleArgs {
  x,
  /** Of x, as channels. */
  width,
  channels,
  factor,
  y,
}

export enum UpsampleGradArgs {
  dy,
  /** Of dx. */
  width,
  channels,
  factor,
  dx,
}

export enum AveragePoolArgs {
  x,
  /** Of x, as width and channels. */
  height,
  width,
  channels,
  factor,
  y,
}

export enum AveragePoolGradArgs {
  dy,
  /** Of dx, as width. */
  height,
  width,
  channels,
  factor,
  dx,
}

export enum SumRowsArgs {
  parts,
  rows,
  length,
  out,
  lengthPerTask,
}

export enum SumPartsArgs {
  /** [outer, rows, columns]. */
  x,
  outer,
  rows,
  columns,
  /** Doubles [outer, parts, columns]. */
  parts,
  rowsPerPart,
  columnsPerTask,
  outerPerTask,
}

export enum SumTotalsArgs {
  /** As of {@link SumPartsArgs}. */
  parts,
  partCount,
  columns,
  /** Of the output [outer, columns]. */
  length,
  out,
  divisor,
  lengthPerTask,
}

/** What the kernel softmax computes, along rows. */
export enum SoftmaxKind {
  softmax,
  logSoftmax,
  softmaxGrad,
  logSoftmaxGrad,
}

export enum SoftmaxArgs {
  /** A {@link SoftmaxKind}. */
  kind,
  /** The logits; for a gradient, the forward pass's output. */
  x,
  rows,
  columns,
  out,
  rowsPerTask,
  dy,
}

export enum SquaredErrorArgs {
  length,
  a,
  b,
  /** A double a task. */
  parts,
}

export enum CrossEntropyArgs {
  logits,
  labels,
  rows,
  classes,
  losses,
  logSums,
  rowsPerTask,
}

export enum CrossEntropyGradArgs {
  logits,
  labels,
  rows,
  classes,
  dx,
  logSums,
  rowsPerTask,
  /** Float: the loss's gradient over the number of rows. */
  scale,
}

export enum AdamArgs {
  /** An {@link AdamPiece} a task. */
  table,
}

/** A piece of a parameter in Adam's table, in words. */
export enum AdamPiece {
  param,
  grad,
  m,
  v,
  length,
  /** Floats, as all that follow. */
  lr,
  beta1,
  beta2,
  eps,
  /** √(1 − β2ᵗ). */
  rootCorrection2,
  /** lr/(1 − β1ᵗ). */
  rate,
  /** Decoupled weight decay. */
  decay,
  /** L2 penalty. */
  l2,
}
export const ADAM_PIECE_WORDS = AdamPiece.l2 + 1;

export enum RandomArgs {
  out,
  length,
  /** The key, low word first. */
  key0,
  key1,
  /** The first counter. */
  counterLow,
  counterHigh,
  /** Whether normal; else uniform in [0, 1). */
  normal,
}

/** Threefry-2x32's parity, and by how many bits it rotates in even groups of four rounds, and in odd ones. */
export const THREEFRY_PARITY = 0x1bd11bda;
export const EVEN_ROTATION_0 = 13, EVEN_ROTATION_1 = 15, EVEN_ROTATION_2 = 26, EVEN_ROTATION_3 = 6;
export const ODD_ROTATION_0 = 17, ODD_ROTATION_1 = 29, ODD_ROTATION_2 = 16, ODD_ROTATION_3 = 24;

/**
 * Φ(x) for x ≥ 0 is 1 − ½·(((((P5·t + P4)·t + P3)·t + P2)·t + P1)·t·e^(−x²/2) with t = 1/(1 + x·SLOPE/√2), within 1e-7
 * (Abramowitz & Stegun 1964, 7.1.26).
 */
export const NORMAL_SHARE_SLOPE = 0.3275911;
export const NORMAL_SHARE_P1 = 0.254829592, NORMAL_SHARE_P2 = -0.284496736, NORMAL_SHARE_P3 = 1.421413741;
export const NORMAL_SHARE_P4 = -1.453152027, NORMAL_SHARE_P5 = 1.061405429;
