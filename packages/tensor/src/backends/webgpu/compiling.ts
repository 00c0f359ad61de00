import type { Work } from "./encoder.ts";

/** What may wait for the driver, and what does not. */
type Entry = Work | { readonly kind: "upload" | "host" };

/** True while the driver still compiles its kernel. */
export function compiles(entry: Entry): boolean {
  if (entry.kind === "replay") return entry.tape.compiles;
  return entry.kind === "launch" && !entry.kernel.pipeline && entry.kernel.problem === undefined;
}

/** Settles once the driver has compiled what these need. */
export async function compiled(entries: readonly Entry[]): Promise<void> {
  const pending = new Set<Promise<unknown>>();
  for (const entry of entries) {
    if (entry.kind === "launch" && compiles(entry)) pending.add(entry.kernel.ready);
    if (entry.kind === "replay" && compiles(entry)) pending.add(entry.tape.ready);
  }
  if (pending.size > 0) await Promise.all(pending);
}
