import type { CpuEngine } from "../engine.ts";
import { kernel } from "../kernel.ts";

/** Bytes that one unit fills. */
const PIECE = 65536;

/** A unit fills a piece with 0xFF: NaN in f32 and f16, −1 in integers. */
export const poisonKernel = kernel("poison", { at: "i32", bytes: "i32" }, (f, { at, bytes }) => {
  f.units((unit) => {
    const begin = f.let(unit.mul(PIECE));
    f.fillBytes(at.add(begin), 255, bytes.sub(begin).minU(PIECE));
  });
});

/**
 * Makes memory that belongs to nobody unfit for use: what reads it by mistake, or expects zeros in memory that is new, shows. It is filled
 * in the order of the launches, since those recorded before may still read it.
 */
export function poison(cpu: CpuEngine): void {
  cpu.pool.onFree = (at, bytes) => {
    if (!cpu.ended) cpu.launchUnseen(poisonKernel, [at, bytes], Math.ceil(bytes / PIECE), 4000);
  };
}
