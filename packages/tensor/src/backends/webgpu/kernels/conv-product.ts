import type { Gpu } from "../gpu.ts";

/** Rows of the product that one thread holds; few different numbers, since each is a kernel to compile. */
export function rowsFor(m: number): number {
  return m <= 4 ? 4 : 8;
}

export function each(count: number, text: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => text(index)).join("\n      ");
}

/** How the inner loop of a product finds the numbers of step `k`. */
interface Walk {
  /** WGSL for the number of steps. */
  readonly count: string;
  /** WGSL that places step `k`: `aAt`, and `bAt` where `next` asks for it. */
  readonly locate: string;
  /** WGSL that loads `v` of the next step from b; `value` gives what the lane of that step has located. */
  readonly next: (value: (name: string) => string) => string;
}

/** Both operands advance by the same distance at every step. */
export function evenly(count: string, aStep: string, bStep: string): Walk {
  return { count, locate: `let aAt = k * ${aStep};`, next: () => `let v = b[at]; at += ${bStep};` };
}

/** Every step is placed on its own, which costs divisions, once for each lane's steps. */
export function freely(count: string, locate: string): Walk {
  return { count, locate, next: (value) => `let v = b[at + ${value("bAt")}];` };
}

/**
 * The inner loop of both products here, as in the matmul kernel: R rows of `a` times vectors of `b`. Each lane loads the
 * values of one step for every row, and the others get them by broadcast, so that a step is one vector load and R
 * multiply-adds. The steps that do not fill a subgroup are not worth unrolled code, which drivers take long to compile.
 */
export function productLoop(rows: number, lanes: number, { count, locate, next }: Walk): string {
  const load = `${locate}
      ${each(rows, (r) => `let a${r} = a[from${r} + aAt];`)}`;
  const multiply = (value: (name: string) => string): string =>
    `${next(value)}
      ${each(rows, (r) => `acc${r} = fma(vec4f(${value(`a${r}`)}), v, acc${r});`)}`;
  if (lanes === 0) {
    return `for (var k = 0u; k < ${count}; k++) {
      ${load}
      ${multiply((name) => name)}
    }`;
  }
  return `let full = ${count} - ${count} % WG;
    for (var i = 0u; i < full; i += WG) {
      let k = i + lane;
      ${load}
      ${each(lanes, (lane) => `{ ${multiply((name) => `subgroupBroadcast(${name}, ${lane}u)`)} }`)}
    }
    if (full < ${count}) {
      let k = min(full + lane, ${count} - 1u);
      ${load}
      for (var j = 0u; j < ${count} - full; j++) { ${multiply((name) => `subgroupShuffle(${name}, j)`)} }
    }`;
}

/** Whether a loop of `count` steps inside another would leave too much of a subgroup idle in its last round. */
export function ragged(gpu: Gpu, count: number): boolean {
  return gpu.subgroupSize > 0 && count % gpu.subgroupSize !== 0 && count < 4 * gpu.subgroupSize;
}
