/**
 * The kernel module. Every thread instantiates it over one memory. A dispatch is a kernel's number, its arguments and
 * a count of tasks; threads claim tasks by atomic tickets until none is left. What a task computes depends on its
 * number alone, so results are the same bits for any number of threads.
 */
import { CLOSED, Control, Kernel, SERVE_MS, TICKET_BYTES } from "./abi";
import { adam } from "./adam";
import { attention, attentionGrad, attentionGradScratch, attentionScratch } from "./attention";
import { batchNormGradStats, batchNormStats, channelAffine, channelSums } from "./batchnorm";
import { copyColumns } from "./concat";
import { conv, convFilterGrad, convFilterGradScratch, convScratch, packFilter } from "./conv";
import { convSmall, convSmallFilterGrad, convSmallFilterGradScratch, convSmallScratch } from "./conv_small";
import {
  convFewIn,
  convFewInScratch,
  convFewOut,
  convFewOutScratch,
  convFilterGradFewIn,
  convFilterGradFewInScratch,
  convFilterGradFewOut,
  convFilterGradFewOutScratch,
  packRun,
} from "./conv_thin";
import {
  winogradConv,
  winogradConvScratch,
  winogradFilter,
  winogradFilterGrad,
  winogradFilterGradScratch,
  winogradFilterGradSum,
  winogradFilterGradSumScratch,
  winogradFilterScratch,
} from "./conv_winograd";
import { addChannels, map } from "./elementwise";
import { groupNorm, groupNormGrad, groupNormGradScratch, groupNormScratch } from "./groupnorm";
import { crossEntropy, crossEntropyGrad, squaredError } from "./loss";
import { matmul, matmulScratch, pack } from "./matmul";
import { random } from "./random";
import { sumParts, sumRows, sumTotals } from "./reduce";
import { averagePool, averagePoolGrad, upsample, upsampleGrad } from "./resample";
import { softmax } from "./softmax";

function run(kernel: i32, args: usize, task: i32, scratch: usize): void {
  switch (kernel) {
    case Kernel.pack: return pack(args, task);
    case Kernel.matmul: return matmul(args, task, scratch);
    case Kernel.packFilter: return packFilter(args, task);
    case Kernel.conv: return conv(args, task, scratch);
    case Kernel.convFilterGrad: return convFilterGrad(args, task, scratch);
    case Kernel.groupNorm: return groupNorm(args, task, scratch);
    case Kernel.groupNormGrad: return groupNormGrad(args, task, scratch);
    case Kernel.attention: return attention(args, task, scratch);
    case Kernel.attentionGrad: return attentionGrad(args, task, scratch);
    case Kernel.map: return map(args, task);
    case Kernel.copyColumns: return copyColumns(args, task);
    case Kernel.upsample: return upsample(args, task);
    case Kernel.upsampleGrad: return upsampleGrad(args, task);
    case Kernel.sumRows: return sumRows(args, task);
    case Kernel.adam: return adam(args, task);
    case Kernel.random: return random(args, task);
    case Kernel.sumParts: return sumParts(args, task);
    case Kernel.sumTotals: return sumTotals(args, task);
    case Kernel.addChannels: return addChannels(args, task);
    case Kernel.winogradFilter: return winogradFilter(args, task, scratch);
    case Kernel.winogradConv: return winogradConv(args, task, scratch);
    case Kernel.winogradFilterGrad: return winogradFilterGrad(args, task, scratch);
    case Kernel.winogradFilterGradSum: return winogradFilterGradSum(args, task, scratch);
    case Kernel.softmax: return softmax(args, task);
    case Kernel.squaredError: return squaredError(args, task);
    case Kernel.crossEntropy: return crossEntropy(args, task);
    case Kernel.crossEntropyGrad: return crossEntropyGrad(args, task);
    case Kernel.channelSums: return channelSums(args, task);
    case Kernel.batchNormStats: return batchNormStats(args, task);
    case Kernel.batchNormGradStats: return batchNormGradStats(args, task);
    case Kernel.channelAffine: return channelAffine(args, task);
    case Kernel.convFewIn: return convFewIn(args, task, scratch);
    case Kernel.convFewOut: return convFewOut(args, task, scratch);
    case Kernel.convFilterGradFewIn: return convFilterGradFewIn(args, task, scratch);
    case Kernel.convFilterGradFewOut: return convFilterGradFewOut(args, task, scratch);
    case Kernel.packRun: return packRun(args, task);
    case Kernel.averagePool: return averagePool(args, task);
    case Kernel.averagePoolGrad: return averagePoolGrad(args, task);
    case Kernel.convSmall: return convSmall(args, task, scratch);
    case Kernel.convSmallFilterGrad: return convSmallFilterGrad(args, task, scratch);
    default: unreachable();
  }
}

/** Bytes of scratch memory that a thread needs for a kernel, by the arguments in the control block. */
export function scratch(kernel: i32, ctrl: usize): usize {
  const args = ctrl + Control.args;
  switch (kernel) {
    case Kernel.matmul: return matmulScratch(args);
    case Kernel.conv: return convScratch(args);
    case Kernel.convFilterGrad: return convFilterGradScratch(args);
    case Kernel.convSmall: return convSmallScratch(args);
    case Kernel.convSmallFilterGrad: return convSmallFilterGradScratch(args);
    case Kernel.convFewIn: return convFewInScratch(args);
    case Kernel.convFewOut: return convFewOutScratch(args);
    case Kernel.convFilterGradFewIn: return convFilterGradFewInScratch(args);
    case Kernel.convFilterGradFewOut: return convFilterGradFewOutScratch(args);
    case Kernel.winogradFilter: return winogradFilterScratch(args);
    case Kernel.winogradConv: return winogradConvScratch(args);
    case Kernel.winogradFilterGrad: return winogradFilterGradScratch(args);
    case Kernel.winogradFilterGradSum: return winogradFilterGradSumScratch(args);
    case Kernel.groupNorm: return groupNormScratch(args);
    case Kernel.groupNormGrad: return groupNormGradScratch(args);
    case Kernel.attention: return attentionScratch(args);
    case Kernel.attentionGrad: return attentionGradScratch(args);
    default: return 0;
  }
}

/**
 * Claims and runs tasks until the current dispatch has none left. A thread begins with its own share of them, the same
 * part of the data in every dispatch, so that it finds what it wrote in its own cache; then it helps the others.
 */
function work(ctrl: usize, thread: i32): void {
  const threads = load<i32>(ctrl + Control.threads);
  for (let i = 0; i < threads; i++) {
    const ticket = ctrl + Control.tickets + <usize> ((thread + i) % threads) * TICKET_BYTES;
    for (;;) {
      // A look before the claim: claims past the end would in the long run overflow into it.
      let now = atomic.load<u64>(ticket);
      if (<u32> now >= <u32> (now >> 32)) break;
      now = atomic.add<u64>(ticket, 1);
      const task = <u32> now;
      if (task >= <u32> (now >> 32)) break;
      // Read only now: the task may be of the next dispatch already.
      const span = <usize> load<u32>(ctrl + Control.scratchBytes);
      const scratch = <usize> load<u32>(ctrl + Control.scratch) + <usize> thread * span;
      run(load<i32>(ctrl + Control.kernel), ctrl + Control.args, <i32> task, scratch);
      atomic.sub<i32>(ctrl + Control.left, 1);
    }
  }
}

/** Runs `tasks` tasks of a kernel on this thread and the pool's; 0 when all are done, 1 if a thread died. */
export function dispatch(ctrl: usize, kernel: i32, tasks: i32, threads: i32): i32 {
  if (atomic.load<i32>(ctrl + Control.dead)) return 1;
  if (threads == 1 || tasks == 1) {
    const scratch = <usize> load<u32>(ctrl + Control.scratch);
    for (let t = 0; t < tasks; t++) run(kernel, ctrl + Control.args, t, scratch);
    return 0;
  }
  store<i32>(ctrl + Control.kernel, kernel);
  store<i32>(ctrl + Control.threads, threads);
  atomic.store<i32>(ctrl + Control.left, tasks);
  for (let i = 0; i < threads; i++) {
    const from = <u64> (<i64> tasks * i / threads), to = <u64> (<i64> tasks * (i + 1) / threads);
    atomic.store<u64>(ctrl + Control.tickets + <usize> i * TICKET_BYTES, (to << 32) | from);
  }
  const number = (load<i32>(ctrl + Control.dispatch) + 1) & (CLOSED - 1);
  atomic.store<i32>(ctrl + Control.dispatch, number);
  if (atomic.load<i32>(ctrl + Control.sleeping)) atomic.notify(ctrl + Control.dispatch, threads - 1);
  work(ctrl, 0);
  while (atomic.load<i32>(ctrl + Control.left) > 0) {
    if (atomic.load<i32>(ctrl + Control.dead)) return 1;
  }
  return 0;
}

/** Milliseconds since some moment, by the thread's own clock. */
@external("env", "now")
declare function now(): f64;

/**
 * Works in a pool's thread until it has nothing to do for a while, or has been at it for so long that its event loop should
 * have a turn, in which the thread can be ended.
 * @returns the number of the last dispatch that it saw; CLOSED where it is the last of all
 */
export function serve(ctrl: usize, thread: i32, seen: i32, spins: i32): i32 {
  const end = now() + SERVE_MS;
  do {
    let left = spins;
    while (atomic.load<i32>(ctrl + Control.dispatch) == seen) {
      if (--left <= 0) return seen;
    }
    seen = atomic.load<i32>(ctrl + Control.dispatch);
    if (seen == CLOSED) break;
    work(ctrl, thread);
  } while (now() < end);
  return seen;
}
