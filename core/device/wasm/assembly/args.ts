/** A dispatch's arguments: 32-bit words in shared memory, written by JavaScript and read here. */

// @ts-ignore: decorator
@inline
export function int(args: usize, i: i32): i32 {
  return load<i32>(args + ((<usize> i) << 2));
}

// @ts-ignore: decorator
@inline
export function ptr(args: usize, i: i32): usize {
  return <usize> load<u32>(args + ((<usize> i) << 2));
}

// @ts-ignore: decorator
@inline
export function float(args: usize, i: i32): f32 {
  return load<f32>(args + ((<usize> i) << 2));
}

/** Bytes of n floats. */
// @ts-ignore: decorator
@inline
export function bytes(n: i32): usize {
  return (<usize> n) << 2;
}
