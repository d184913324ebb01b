/**
 * The kernel module. Every thread instantiates it over one memory. A dispatch is a kernel's number, its arguments and
 * a count of tasks; threads claim tasks from an atomic ticket until none is left. What a task computes depends on its
 * number alone, so results are the same bits for any number of threads.
 */
import { adam } from "./adam";
import { attention, attentionGrad } from "./attention";
import { conv, convFilterGrad, packFilter } from "./conv";
import { addChannels, copyColumns, map, sumColumns, sumRows, upsample, upsampleGrad } from "./elementwise";
import { matmul, pack } from "./matmul";
import { groupNorm, groupNormGrad } from "./norm";
import { random } from "./random";
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
    default: unreachable();
  }
}

/*
 * The control block, in 32-bit words:
 *   0,1  ticket: dispatch (24 bits) | tasks (20) | next task (20); one atomic add claims a task of that very dispatch
 *   2    tasks done       3  dispatch number, what idle threads wait on
 *   4    sleeping threads 5  set by a thread that died
 *   6    kernel           7  scratch base   8 scratch bytes a thread
 *   16…  arguments
 */
const DONE: usize = 8, NUMBER: usize = 12, SLEEPING: usize = 16, DEAD: usize = 20;
const KERNEL: usize = 24, SCRATCH: usize = 28, SPAN: usize = 32, ARGS: usize = 64;
const TASK_MASK: u64 = 0xfffff;

/** Claims and runs tasks until the current dispatch has none left. */
function work(ctrl: usize, thread: i32): void {
  for (;;) {
    const ticket = atomic.add<u64>(ctrl, 1);
    const task = <i32> (ticket & TASK_MASK), tasks = <i32> ((ticket >> 20) & TASK_MASK);
    if (task >= tasks) return;
    const scratch = <usize> load<u32>(ctrl + SCRATCH) + <usize> thread * <usize> load<u32>(ctrl + SPAN);
    run(load<i32>(ctrl + KERNEL), ctrl + ARGS, task, scratch);
    atomic.add<i32>(ctrl + DONE, 1);
  }
}

/** Runs `tasks` tasks of a kernel on this thread and the pool's; 0 when all are done, 1 if a thread died. */
export function dispatch(ctrl: usize, kernel: i32, tasks: i32, threads: i32): i32 {
  if (threads == 1 || tasks == 1) {
    const scratch = <usize> load<u32>(ctrl + SCRATCH);
    for (let t = 0; t < tasks; t++) run(kernel, ctrl + ARGS, t, scratch);
    return 0;
  }
  store<i32>(ctrl + KERNEL, kernel);
  atomic.store<i32>(ctrl + DONE, 0);
  const number = (load<i32>(ctrl + NUMBER) + 1) & 0xffffff;
  atomic.store<u64>(ctrl, ((<u64> number) << 40) | ((<u64> tasks) << 20));
  atomic.store<i32>(ctrl + NUMBER, number);
  if (atomic.load<i32>(ctrl + SLEEPING)) atomic.notify(ctrl + NUMBER, threads - 1);
  work(ctrl, 0);
  while (atomic.load<i32>(ctrl + DONE) < tasks) {
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
