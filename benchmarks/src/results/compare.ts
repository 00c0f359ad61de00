/** Several ways to enlarge, on the images of a set. */
import type { Image, NiqeModel } from "@deplsr/metrics";
import { oneLine } from "../../../apps/cli/src/errors.ts";
import type { Enlarger } from "./enlargers.ts";
import { meansOf, type Scores, scoresOf } from "./scores.ts";
import type { Case, Pair, TestSet } from "./sets.ts";

/** A row of a set's table: means over its images. */
export interface Row {
  readonly name: string;
  readonly ours: boolean;
  readonly scores: Scores;
}

/** What was found on a set. */
export interface Comparison {
  readonly title: string;
  readonly about: string;
  readonly scale: number;
  /** How many images count: those that every row has enlarged. */
  readonly images: number;
  /** How many there are. */
  readonly of: number;
  readonly rows: readonly Row[];
  /** The ways that failed on every image. */
  readonly failed: readonly string[];
  /** The originals themselves, as far as they can be measured; null where there are none. */
  readonly originals: Scores | null;
}

/** Who enlarges, and how it is measured. */
export interface Contest {
  /** One after the other, before the peers. */
  readonly ours: readonly Enlarger[];
  readonly plain: readonly Enlarger[];
  /** At the same time, for each has a process and one thread. */
  readonly peers: readonly Enlarger[];
  readonly niqeModel: NiqeModel;
  /** So many images of the set are taken. */
  readonly limit: number;
  readonly say: (line: string) => void;
}

/**
 * Enlarges every image in every way. An image that fails in one way counts in none, so that all rows are about the same images; a way that fails everywhere
 * has no row.
 */
export async function compareOn(set: TestSet, contest: Contest): Promise<Comparison> {
  const { ours, plain, peers, say, limit } = contest;
  const pairs: { readonly name: string; readonly pair: Pair }[] = [];
  for (const item of set.cases.slice(0, limit)) {
    const pair = await loaded(item, say);
    if (pair) pairs.push({ name: item.name, pair });
  }
  const score = (result: Image, original: Image | null): Scores =>
    scoresOf(result, original, { scale: set.scale, niqeModel: contest.niqeModel });
  const seconds: string[] = [];
  const run = async ({ name, enlarge }: Enlarger): Promise<(Scores | null)[]> => {
    const started = performance.now();
    const found: (Scores | null)[] = [];
    for (const { name: image, pair } of pairs) {
      try {
        found.push(score(await enlarge(pair.lq), pair.gt));
      } catch (error) {
        say(`${set.title} x${set.scale}: ${image}: ${name}: ${oneLine(error)}`);
        found.push(null);
      }
    }
    seconds.push(`${name} ${((performance.now() - started) / 1000).toFixed(1)} s`);
    return found;
  };
  const found = new Map<Enlarger, (Scores | null)[]>();
  for (const enlarger of [...ours, ...plain]) found.set(enlarger, await run(enlarger));
  await Promise.all(peers.map(async (enlarger) => found.set(enlarger, await run(enlarger))));
  const all = [...ours, ...plain, ...peers];
  const rows = all.filter((enlarger) => found.get(enlarger)!.some((scores) => scores));
  const whole = pairs.map((_, i) => rows.every((enlarger) => found.get(enlarger)![i] !== null));
  const of = <T>(all: readonly T[]): T[] => all.filter((_, i) => whole[i]);
  const originals = of(pairs).flatMap(({ pair: { gt } }) => (gt ? [score(gt, null)] : []));
  const means = meansOf(rows.map((enlarger) => of(found.get(enlarger)!) as Scores[]));
  say(`${set.title} x${set.scale}: ${of(pairs).length} images; ${seconds.join(", ")}`);
  return {
    title: set.title,
    about: set.about,
    scale: set.scale,
    images: of(pairs).length,
    of: set.cases.length,
    rows: rows.map((enlarger, i) => ({ name: enlarger.name, ours: ours.includes(enlarger), scores: means[i]! })),
    failed: all.filter((enlarger) => !rows.includes(enlarger)).map(({ name }) => name),
    originals: originals.length > 0 ? meansOf([originals])[0]! : null,
  };
}

async function loaded(item: Case, say: (line: string) => void): Promise<Pair | null> {
  try {
    return await item.load();
  } catch (error) {
    say(`${item.name}: ${oneLine(error)}`);
    return null;
  }
}
