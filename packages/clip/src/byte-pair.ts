import { pairKey, type Vocabulary } from "./vocabulary.ts";

/**
 * Byte-pair encoding of one piece: joins the neighbours of the lowest rank, the leftmost first, until no pair is known. What a
 * merge makes is only in pairs of higher ranks, so that each rank's turn comes once, and n symbols take about O(n).
 *
 * @see https://arxiv.org/abs/1508.07909
 */
export function mergePairs(symbols: readonly number[], ranks: Vocabulary["ranks"]): number[] {
  const end = symbols.length;
  // A list of what is left: the symbol at each place, -1 where it was joined to an earlier one, and the places beside it.
  const ids = Int32Array.from(symbols);
  const next = Int32Array.from(symbols, (_, i) => i + 1);
  const previous = Int32Array.from(symbols, (_, i) => i - 1);
  const rankAt = (i: number): number | undefined =>
    i >= 0 && next[i]! < end ? ranks.get(pairKey(ids[i]!, ids[next[i]!]!)) : undefined;
  const places = new Map<number, number[]>();
  const waiting = new Queue();
  const offer = (i: number): void => {
    const rank = rankAt(i);
    if (rank === undefined) return;
    const others = places.get(rank);
    if (others) others.push(i);
    else {
      places.set(rank, [i]);
      waiting.push(rank);
    }
  };
  for (let i = 0; i < end; i++) offer(i);
  for (let rank = waiting.pop(); rank !== undefined; rank = waiting.pop()) {
    for (const i of places.get(rank)!.sort((a, b) => a - b)) {
      if (ids[i] === -1 || rankAt(i) !== rank) continue; // joined meanwhile
      const joined = next[i]!;
      ids[i] = 512 + rank;
      ids[joined] = -1;
      next[i] = next[joined]!;
      if (next[i]! < end) previous[next[i]!] = i;
      offer(previous[i]!);
      offer(i);
    }
    places.delete(rank);
  }
  return Array.from(ids).filter((id) => id !== -1);
}

/** Numbers that come out smallest first: a binary heap. */
class Queue {
  readonly #keys: number[] = [];

  push(key: number): void {
    const keys = this.#keys;
    let at = keys.length;
    keys.push(key);
    for (let parent = (at - 1) >> 1; at > 0 && keys[parent]! > key; parent = (at - 1) >> 1) {
      keys[at] = keys[parent]!;
      at = parent;
    }
    keys[at] = key;
  }

  pop(): number | undefined {
    const keys = this.#keys;
    const smallest = keys[0];
    const key = keys.pop();
    if (key === undefined || keys.length === 0) return smallest;
    let at = 0;
    for (let child = 1; child < keys.length; child = 2 * at + 1) {
      if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= key) break;
      keys[at] = keys[child]!;
      at = child;
    }
    keys[at] = key;
    return smallest;
  }
}
