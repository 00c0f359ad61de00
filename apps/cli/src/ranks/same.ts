/** What has to be the same in all processes of a job: a job of two versions, or with two configurations, would go on and be wrong. */
import type { ProcessGroup } from "@deplsr/distributed";
import { UserError } from "../errors.ts";
import { gather } from "./exchange.ts";

/**
 * Compares something between the processes.
 *
 * @param facts by name, `{ version: "0.1.0", config }`: plain values, arrays and objects, of which the first that differs is named
 * @throws UserError in all processes, the same one in each, where they differ
 */
export async function checkSame(group: ProcessGroup, facts: Readonly<Record<string, unknown>>): Promise<void> {
  const all = await gather(group, { host: group.host, values: leaves(facts) });
  const [first] = all as [(typeof all)[number]];
  for (const [rank, { host, values }] of all.entries()) {
    for (const name of new Set([...first.values.keys(), ...values.keys()])) {
      const [own, expected] = [values.get(name), first.values.get(name)];
      if (own === expected) continue;
      throw new UserError(
        `processes: ${name} is ${shown(own)} for rank ${rank} (${host}), ${shown(expected)} for rank 0 (${first.host}): start all with the same`,
      );
    }
  }
}

const MOST_SHOWN = 120;

function shown(value: string | undefined): string {
  if (value === undefined) return "missing";
  return value.length > MOST_SHOWN ? `${value.slice(0, MOST_SHOWN)} ...` : value;
}

/** What stands at the ends of a tree, by the way to it, `train.total_iter`. */
function leaves(value: unknown, path = "", found = new Map<string, string>()): Map<string, string> {
  if (typeof value !== "object" || value === null || Object.keys(value).length === 0) {
    return found.set(path, JSON.stringify(value) ?? "undefined");
  }
  for (const [name, inner] of Object.entries(value)) leaves(inner, path === "" ? name : `${path}.${name}`, found);
  return found;
}
