import type { ProcessGroup } from "@deplsr/distributed";
import { localGroup } from "@deplsr/distributed/testing";
import { expect, it } from "vitest";
import { checkCards } from "../../src/ranks/cards.ts";

/** What comes of processes on these hosts, each of which sees so many cards. */
async function outcome(hosts: readonly string[], cards: number, backend = "webgpu"): Promise<string> {
  const groups = localGroup(hosts.length).map(
    (group): ProcessGroup => Object.defineProperty(group, "host", { value: hosts[group.rank] }),
  );
  const ends = await Promise.allSettled(groups.map((group) => checkCards(group, backend, cards)));
  const texts = new Set(ends.map((end) => (end.status === "rejected" ? String(end.reason) : "fine")));
  expect(texts.size).toBe(1);
  return [...texts][0]!;
}

it("refuses processes that would share one of several cards", async () => {
  expect(await outcome(["a", "b", "b"], 4)).toBe(
    "UserError: device: several processes on b see 4 GPUs each, and all would compute on the first: let each see one (srun --gpus-per-task=1)",
  );
});

it.each([
  ["a card each", ["a", "a"], 1, "webgpu"],
  ["a machine each", ["a", "b"], 8, "webgpu"],
  ["none, on the CPU", ["a", "a"], 8, "cpu"],
] as const)("lets them have %s", async (_, hosts, cards, backend) =>
  expect(await outcome(hosts, cards, backend)).toBe("fine"),
);
