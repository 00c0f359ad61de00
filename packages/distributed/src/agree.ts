/** What has to be the same in all processes before they work together. */
import { DistributedError, type ProcessGroup } from "./process-group.ts";

/** What a process has, by name: its version, a value of its configuration. */
export type Facts = ReadonlyMap<string, string>;

/** Facts that are longer are told by their beginnings. */
const SHOWN = 60;

/**
 * Compares facts over the processes of a group.
 *
 * @throws DistributedError naming the first that is not rank 0's, and the rank that has it: in rank 0, which is to end the job; the others wait for that
 */
export async function agree(group: ProcessGroup, facts: Facts): Promise<void> {
  if (group.size === 1) return;
  const texts = await gatherTexts(group, JSON.stringify({ host: group.host, facts: [...facts] }));
  const all = texts.map((text) => JSON.parse(text) as { host: string; facts: [string, string][] });
  const first = new Map(all[0]!.facts);
  for (const [rank, { host, facts }] of all.entries()) {
    const own = new Map(facts);
    const differs = [...first.keys(), ...own.keys()].find((name) => own.get(name) !== first.get(name));
    if (differs === undefined) continue;
    const [here, there] = [first, own].map((facts) => shown(facts.get(differs)));
    await refuse(
      group,
      `${differs} is ${there} in rank ${rank} on ${host}, and ${here} in rank 0 on ${all[0]!.host}: it has to be the same`,
    );
  }
}

/** A text of every process, by rank. */
export async function gatherTexts(group: ProcessGroup, text: string): Promise<string[]> {
  const all = await group.allGather(new TextEncoder().encode(text));
  return all.map((bytes) => new TextDecoder().decode(bytes));
}

/** Ends what cannot go on, in the words of rank 0 alone: the others wait for its end. All processes call it. */
export async function refuse(group: ProcessGroup, reason: string): Promise<never> {
  if (group.rank > 0) await group.barrier();
  throw new DistributedError(reason);
}

function shown(fact: string | undefined): string {
  if (fact === undefined) return "not there";
  return fact.length > SHOWN ? `${fact.slice(0, SHOWN)}...` : fact;
}
