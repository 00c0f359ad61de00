/** Processes on one machine need a graphics card each. */
import { closeSync, openSync, readdirSync } from "node:fs";
import type { ProcessGroup } from "@deplsr/distributed";
import { UserError } from "../errors.ts";
import { gather } from "./exchange.ts";

/**
 * Refuses processes of one machine that would all compute on the same one of several cards: WebGPU has no way to ask for another.
 *
 * @throws UserError in all of them, where that can be known
 */
export async function checkCards(group: ProcessGroup, backend: string, cards: number = visibleCards()): Promise<void> {
  const all = await gather(group, { host: group.host, cards: backend === "webgpu" ? cards : 0 });
  const crowded = all.find(({ host, cards }) => cards > 1 && all.filter((other) => other.host === host).length > 1);
  if (!crowded) return;
  throw new UserError(
    `device: several processes on ${crowded.host} see ${crowded.cards} GPUs each, and all would compute on the first: let each see one (srun --gpus-per-task=1)`,
  );
}

/** NVIDIA's cards that this process may open: Slurm and containers lock the others. */
function visibleCards(): number {
  try {
    return readdirSync("/dev").filter((name) => /^nvidia\d+$/.test(name) && opens(`/dev/${name}`)).length;
  } catch {
    return 0;
  }
}

function opens(path: string): boolean {
  try {
    closeSync(openSync(path, "r+"));
    return true;
  } catch {
    return false;
  }
}
