/** Work that is divided among the processes of a job. */
import type { ProcessGroup } from "@deplsr/distributed";
import { inParallel } from "../data/jobs.ts";
import { gather } from "./exchange.ts";

/** What is done with the items of a list. */
export interface Division<Item, Result> {
  /** Items that a process works on at a time. */
  readonly jobs?: number;
  /** Done for the items that fall to this process. */
  readonly work: (item: Item, index: number) => Promise<Result>;
  /** Given the results of all items in the order of the list, as they come; in the first process alone. */
  readonly take: (result: Result, index: number) => void;
}

/**
 * Divides a list, the same in all processes: item `i` falls to rank `i % size`. So many items as there are processes are one round, whose results travel
 * while the next one is worked on; nobody waits before the end.
 */
export async function divide<Item, Result>(
  group: ProcessGroup,
  items: readonly Item[],
  { jobs = 1, work, take }: Division<Item, Result>,
): Promise<void> {
  const { rank, size } = group;
  const rounds = Math.ceil(items.length / size);
  const own = Array.from({ length: rounds }, (_, round) => round).filter((round) => round * size + rank < items.length);
  const results = new Map<number, Result>();
  let sent = 0;
  let failure: unknown;
  let taken: Promise<void> = Promise.resolve();
  /** Sends what is ready, round after round: all processes gather in one order. */
  const send = (): void => {
    for (; sent < rounds && (results.has(sent) || sent === own.length); sent++) {
      const first = sent * size;
      const gathered = gather(group, results.get(sent));
      results.delete(sent);
      taken = Promise.all([gathered, taken]).then(([all]) => {
        if (rank > 0) return;
        // Where a round is not full, the last processes have nothing.
        for (const [i, result] of all.slice(0, items.length - first).entries()) take(result as Result, first + i);
      });
      taken.catch((error: unknown) => {
        failure ??= error;
      });
    }
  };
  await inParallel(own, jobs, async (round) => {
    if (failure !== undefined) throw failure;
    const index = round * size + rank;
    results.set(round, await work(items[index]!, index));
    send();
    if (size === 1) await taken;
  });
  send();
  await taken;
}
