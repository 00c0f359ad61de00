/** The same as the model, message by message: ranks, links that carry one message after the other, and buckets that wait for their turn. */
import type { Cluster, Step } from "./model.ts";
import { bucketsOf } from "./model.ts";

/** A link that is free again at some time. */
interface Link {
  free: number;
}

/** Holds a link for some seconds, from when it is free. Returns the end. */
function hold(link: Link, at: number, seconds: number): number {
  link.free = Math.max(at, link.free) + seconds;
  return link.free;
}

/** Simulates a step with all-to-all, sum and all-gather. Returns seconds. @param slowdown of each rank's computing: 1 for as fast as it should be */
export function simulate(step: Step, cluster: Cluster, slowdown: readonly number[] = []): number {
  const { nodes, perNode, bus, sum } = cluster;
  const ranks = nodes * perNode;
  const pace = Array.from({ length: ranks }, (_, rank) => slowdown[rank] ?? 1);
  const links = (count: number): Link[] => Array.from({ length: count }, () => ({ free: 0 }));
  const network = { out: links(ranks), into: links(ranks), nodeOut: links(nodes), nodeInto: links(nodes) };
  // When each rank's host has done what came before.
  let free = pace.map(() => 0);
  let computed = 0;
  for (const n of bucketsOf(step.bytes, step.bucket)) {
    computed += n;
    const ready = pace.map((slow) => slow * (step.forward + (step.backward * computed) / step.bytes));
    const staged = ranks === 1 ? ready : ready.map((at, rank) => Math.max(at, free[rank]!) + n / bus);
    const summed = exchange(staged, n / ranks, cluster, network).map((at) => at + (ranks === 1 ? 0 : n / sum));
    const gathered = exchange(summed, n / ranks, cluster, network);
    free = gathered.map((at) => at + (ranks === 1 ? 0 : n / bus));
  }
  const ends = pace.map(
    (slow, rank) => Math.max(free[rank]!, slow * (step.forward + step.backward)) + slow * step.update,
  );
  return Math.max(...ends);
}

type Network = Readonly<Record<"out" | "into" | "nodeOut" | "nodeInto", Link[]>>;

/** A message that has left its sender, and is on its way in. */
interface Message {
  readonly to: number;
  readonly left: number;
  readonly seconds: number;
  readonly into: Link;
}

/** Every rank sends a share to every other one, the next one first. Returns when each has all. */
function exchange(begin: readonly number[], share: number, cluster: Cluster, network: Network): number[] {
  const ranks = begin.length;
  const { perNode, inside, between, latencyInside, latencyBetween } = cluster;
  const messages: Message[] = [];
  for (let round = 1; round < ranks; round++) {
    for (let from = 0; from < ranks; from++) {
      const to = (from + round) % ranks;
      const [a, b] = [Math.floor(from / perNode), Math.floor(to / perNode)];
      const near = a === b;
      // A rank prepares one message after the other; those to other machines wait for the way out that all ranks of a machine share.
      const prepared = hold(network.out[from]!, begin[from]!, near ? latencyInside : latencyBetween);
      const seconds = share / (near ? inside : between);
      const end = hold(near ? network.out[from]! : network.nodeOut[a]!, prepared, seconds);
      messages.push({ to, left: end - seconds, seconds, into: near ? network.into[to]! : network.nodeInto[b]! });
    }
  }
  // A switch passes on what comes first; bytes come in while they go out.
  const ends = [...begin];
  for (const { to, left, seconds, into } of messages.sort((one, other) => one.left - other.left)) {
    ends[to] = Math.max(ends[to]!, hold(into, left, seconds));
  }
  return ends;
}
