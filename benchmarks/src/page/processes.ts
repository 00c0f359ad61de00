/** The memory of a browser's processes, as Linux counts it. */
import { readdirSync, readFileSync } from "node:fs";

/** MiB by the kind of process; pages that several share are parted among them. */
export interface MemoryByKind {
  readonly browser: number;
  readonly renderer: number;
  readonly gpu: number;
  readonly other: number;
}

/** The memory of all processes that this one has started, and that they have. */
export function memoryBelow(root = process.pid): MemoryByKind {
  const sums = { browser: 0, renderer: 0, gpu: 0, other: 0 };
  for (const pid of descendants(root)) {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (!line.includes("chrom")) continue;
      const kind = /--type=([\w-]+)/.exec(line)?.[1] ?? "browser";
      const pss = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? "0";
      const into = kind === "gpu-process" ? "gpu" : kind === "renderer" || kind === "browser" ? kind : "other";
      sums[into] += Number(pss) / 1024;
    } catch {
      // It has ended by now.
    }
  }
  return sums;
}

function descendants(root: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      // The name in parentheses may have anything in it.
      const parent = Number(readFileSync(`/proc/${name}/stat`, "utf8").replace(/^.*\)/s, "").trim().split(" ")[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It has ended by now.
    }
  }
  const found: number[] = [];
  for (const queue = [root]; queue.length > 0; ) {
    const next = children.get(queue.pop()!) ?? [];
    found.push(...next);
    queue.push(...next);
  }
  return found;
}
