/**
 * The kernel module. Every thread instantiates it over one memory. A dispatch is a kernel's number, its arguments and
 * a count of tasks; threads claim tasks by atomic tickets until none is left. What a task computes depends on its
 * number alone, so results are the same bits for any number of threads.
 */
import { adam } from "./adam";
import { attention, attentionGrad } from "./attention";
import { conv, convFilterGrad, packFilter } from "./conv";
import { batchNormGradStats, batchNormStats, channelAffine, channelSums } from "./batchnorm";
import { addChannels, averagePool, averagePoolGrad, copyColumns, map, sumColumns, sumRows, upsample, upsampleGrad } from "./elementwise";
import { crossEntropy, crossEntropyGrad, softmax, squaredError } from "./loss";
import { matmul, pack } from "./matmul";
import { groupNorm, groupNormGrad } from "./norm";
import { random } from "./random";
import { convSmall, convSmallFilterGrad } from "./small";
import { convFewIn, convFewOut, convFilterGradFewIn, convFilterGradFewOut, packRun } from "./thin";
import { winogradConv, winogradFilter, winogradFilterGrad, winogradFilterGradSum } from "./winograd";

function run(kernel: i32, args: usize, task: i32, scratch: usize): void {
  switch (kernel) {
    case 0: return pack(args, task);
    case 1: return matmul(args, task, scratch);
    case 2: return packFilter(args, task);
    case 3: return conv(args, task, scratch);
    case 4: return convFilterGrad(args, task, scratch);
    case 5: return groupNorm(args, task, scratch);
    case 6: return groupNormGrad(args, task, scratch);
    case 7: return attention(args, task, scratch);
    case 8: return attentionGrad(args, task, scratch);
    case 9: return map(args, task);
    case 10: return copyColumns(args, task);
    case 11: return upsample(args, task);
    case 12: return upsampleGrad(args, task);
    case 13: return sumRows(args, task);
    case 14: return adam(args, task);
    case 15: return random(args, task);
    case 16: return sumColumns(args, task);
    case 17: return addChannels(args, task);
    case 18: return winogradFilter(args, task, scratch);
    case 19: return winogradConv(args, task, scratch);
    case 20: return winogradFilterGrad(args, task, scratch);
    case 21: return winogradFilterGradSum(args, task, scratch);
    case 22: return softmax(args, task);
    case 23: return squaredError(args, task);
    case 24: return crossEntropy(args, task);
    case 25: return crossEntropyGrad(args, task);
    case 26: return channelSums(args, task);
    case 27: return batchNormStats(args, task);
    case 28: return batchNormGradStats(args, task);
    case 29: return channelAffine(args, task);
    case 30: return convFewIn(args, task, scratch);
    case 31: return convFewOut(args, task, scratch);
    case 32: return convFilterGradFewIn(args, task, scratch);
    case 33: return convFilterGradFewOut(args, task, scratch);
    case 34: return packRun(args, task);
    case 35: return averagePool(args, task);
    case 36: return averagePoolGrad(args, task);
    case 37: return convSmall(args, task, scratch);
    case 38: return convSmallFilterGrad(args, task, scratch);
    default: unreachable();
  }
}

/*
 * The control block, in 32-bit words:
 *   0 tasks not done yet  3 dispatch number, what idle threads wait on
 *   4 sleeping threads    5 set by a thread that died
 *   6 kernel              7 scratch base   8 scratch bytes a thread   9 threads
 *   16… arguments
 *   256… a ticket of 64 bits for each thread, a cache line apart: end of its tasks (32) | next of them (32);
 *        one atomic add claims a task
 *
 * Each thread begins with its own share of the tasks, the same part of the data in every dispatch, so that it finds
 * what it wrote in its own cache; then it helps the others.
 */
const LEFT: usize = 0, NUMBER: usize = 12, SLEEPING: usize = 16, DEAD: usize = 20;
const KERNEL: usize = 24, SCRATCH: usize = 28, SPAN: usize = 32, THREADS: usize = 36, ARGS: usize = 64;
const TICKETS: usize = 1024, LINE: usize = 64;

/** Claims and runs tasks until the current dispatch has none left. */
function work(ctrl: usize, thread: i32): void {
  const threads = load<i32>(ctrl + THREADS);
  for (let i = 0; i < threads; i++) {
    const ticket = ctrl + TICKETS + <usize> ((thread + i) % threads) * LINE;
    for (;;) {
      // A look before the claim: claims past the end would in the long run overflow into it.
      let now = atomic.load<u64>(ticket);
      if (<u32> now >= <u32> (now >> 32)) break;
      now = atomic.add<u64>(ticket, 1);
      const task = <u32> now;
      if (task >= <u32> (now >> 32)) break;
      const scratch = <usize> load<u32>(ctrl + SCRATCH) + <usize> thread * <usize> load<u32>(ctrl + SPAN);
      run(load<i32>(ctrl + KERNEL), ctrl + ARGS, <i32> task, scratch);
      atomic.sub<i32>(ctrl + LEFT, 1);
    }
  }
}

/** Runs `tasks` tasks of a kernel on this thread and the pool's; 0 when all are done, 1 if a thread died. */
export function dispatch(ctrl: usize, kernel: i32, tasks: i32, threads: i32): i32 {
  if (atomic.load<i32>(ctrl + DEAD)) return 1;
  if (threads == 1 || tasks == 1) {
    const scratch = <usize> load<u32>(ctrl + SCRATCH);
    for (let t = 0; t < tasks; t++) run(kernel, ctrl + ARGS, t, scratch);
    return 0;
  }
  store<i32>(ctrl + KERNEL, kernel);
  store<i32>(ctrl + THREADS, threads);
  atomic.store<i32>(ctrl + LEFT, tasks);
  for (let i = 0; i < threads; i++) {
    const from = <u64> (<i64> tasks * i / threads), to = <u64> (<i64> tasks * (i + 1) / threads);
    atomic.store<u64>(ctrl + TICKETS + <usize> i * LINE, (to << 32) | from);
  }
  const number = (load<i32>(ctrl + NUMBER) + 1) & 0xffffff;
  atomic.store<i32>(ctrl + NUMBER, number);
  if (atomic.load<i32>(ctrl + SLEEPING)) atomic.notify(ctrl + NUMBER, threads - 1);
  work(ctrl, 0);
  while (atomic.load<i32>(ctrl + LEFT) > 0) {
    if (atomic.load<i32>(ctrl + DEAD)) return 1;
  }
  return 0;
}

/** A pool thread's life: work, spin for a while, then sleep until the next dispatch. */
export function serve(ctrl: usize, thread: i32, spins: i32): void {
  let seen = atomic.load<i32>(ctrl + NUMBER);
  for (;;) {
    let left = spins;
    while (atomic.load<i32>(ctrl + NUMBER) == seen) {
      if (--left <= 0) {
        atomic.add<i32>(ctrl + SLEEPING, 1);
        atomic.wait<i32>(ctrl + NUMBER, seen, -1);
        atomic.sub<i32>(ctrl + SLEEPING, 1);
        left = spins;
      }
    }
    seen = atomic.load<i32>(ctrl + NUMBER);
    if (seen == 0x1000000) return;
    work(ctrl, thread);
  }
}
