import { capturing } from "./capturing.ts";

/** Everything that a generator is: plain data, for a checkpoint. */
export interface RngState {
  readonly key: readonly [number, number];
  /** The next counter that nobody has used, below 2^53. */
  readonly counter: number;
  /** Words that are left of the last counter, next first. */
  readonly words: readonly number[];
}

/** A run of counters reserved for one draw on the device. */
export interface Reservation {
  readonly key: readonly [number, number];
  readonly counter: number;
}

/** Counters end where whole numbers do. */
const LAST_COUNTER = Number.MAX_SAFE_INTEGER;
/** Third counter words: draws of host and device use 0 and, for Poisson, the numbers after it; forks use this one. */
const FORK_BLOCK = 0xffffffff;

/** High word of the product of two 32-bit words. */
function multiplyHigh(a: number, b: number): number {
  const first = (a >>> 16) * (b & 0xffff) + (((a & 0xffff) * (b & 0xffff)) >>> 16);
  const second = (a & 0xffff) * (b >>> 16) + (first & 0xffff);
  return ((a >>> 16) * (b >>> 16) + (first >>> 16) + (second >>> 16)) >>> 0;
}

/**
 * Philox 4x32-10: four words of noise for a counter of four words and a key of two. The kernels of every backend compute the
 * same words. @see Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"
 */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/**
 * A random generator that is a key and a counter: seeded, copied, saved and split without surprises. Numbers drawn on the host
 * and tensors drawn on a device come from the same words, each counter is used once.
 */
export class Rng {
  readonly #key: readonly [number, number];
  #counter: number;
  #words: number[];

  /**
   * @param seed a whole number, its low 64 bits count. Generators of different seeds are independent.
   * @throws RangeError when it is not whole, or too large a number to be exact (use a bigint).
   */
  constructor(seed: number | bigint) {
    if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
      throw new RangeError(`Rng: seed ${seed} is not a whole number of at most 2^53; use a bigint for larger ones`);
    }
    const bits = BigInt.asUintN(64, BigInt(seed));
    this.#key = [Number(bits & 0xffffffffn), Number(bits >> 32n)];
    this.#counter = 0;
    this.#words = [];
    capturing.watcher?.made(this);
  }

  /** One 32-bit word. */
  #word(): number {
    capturing.watcher?.drawnByHost("a number");
    const left = this.#words.shift();
    if (left !== undefined) return left;
    const { key, counter } = this.take(1);
    const words = philox([counter % 2 ** 32, Math.floor(counter / 2 ** 32), 0, 0], key);
    this.#words = words.slice(1);
    return words[0];
  }

  /**
   * A number in [0, 1): a multiple of 2^-53, or of 2^-24 as the device draws them.
   * @param bits 53 takes two words, 24 one.
   */
  uniform(bits: 53 | 24 = 53): number {
    if (bits === 24) return (this.#word() >>> 8) * 2 ** -24;
    const high = this.#word() >>> 5;
    return (high * 2 ** 26 + (this.#word() >>> 6)) * 2 ** -53;
  }

  /** A whole number in 0 … `count` − 1, each as likely as the others. @throws RangeError unless 1 ≤ count ≤ 2^53. */
  integer(count: number): number {
    if (!Number.isInteger(count) || count < 1 || count > 2 ** 53) {
      throw new RangeError(`Rng.integer: count ${count} is not a whole number from 1 to 2^53`);
    }
    // Draws at or above the last whole multiple of count would favour small remainders.
    const range = count <= 2 ** 32 ? 2 ** 32 : 2 ** 53;
    const end = range - (range % count);
    for (;;) {
      const draw = range === 2 ** 32 ? this.#word() : this.uniform() * 2 ** 53;
      if (draw < end) return draw % count;
    }
  }

  /** A number of the standard normal distribution, by Box and Muller's method. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /**
   * An independent generator for a numbered or named stream. It depends on this generator's seed and the stream alone, not on
   * what has been drawn: forking twice with one stream gives the same generator.
   * @throws RangeError when a numbered stream is not a whole number of at least 0.
   */
  fork(stream: number | string): Rng {
    capturing.watcher?.drawnByHost("another generator");
    const [h0, h1, h2] = typeof stream === "number" ? numberWords(stream) : hashWords(stream, this.#key);
    const [k0, k1] = philox([h0, h1, FORK_BLOCK, h2], this.#key);
    return Rng.fromState({ key: [k0, k1], counter: 0, words: [] });
  }

  /** Reserves the next `count` counters, for a draw on the device or elsewhere. Words left on the host stay for the host. */
  take(count: number): Reservation {
    if (!Number.isInteger(count) || count < 0 || this.#counter + count > LAST_COUNTER) {
      throw new RangeError(`Rng.take: ${count} counters after ${this.#counter} (whole numbers up to 2^53 only)`);
    }
    const counter = this.#counter;
    this.#counter += count;
    return { key: this.#key, counter };
  }

  /** What `fromState` goes on from. */
  state(): RngState {
    return { key: [this.#key[0], this.#key[1]], counter: this.#counter, words: [...this.#words] };
  }

  /** A generator that goes on where another one was. @throws RangeError when that was no generator's state. */
  static fromState(state: RngState): Rng {
    const { key, counter, words } = state;
    const isWord = (x: number): boolean => Number.isInteger(x) && x >= 0 && x < 2 ** 32;
    const valid =
      key?.length === 2 &&
      key.every(isWord) &&
      Number.isSafeInteger(counter) &&
      counter >= 0 &&
      Array.isArray(words) &&
      words.length < 4 &&
      words.every(isWord);
    if (!valid) throw new RangeError(`Rng.fromState: ${JSON.stringify(state)} is not a generator's state`);
    const rng = new Rng(BigInt(key[0]) | (BigInt(key[1]) << 32n));
    rng.#counter = counter;
    rng.#words = [...words];
    return rng;
  }
}

/** A numbered stream as words; the third one keeps numbers and names apart. */
function numberWords(stream: number): [number, number, number] {
  if (!Number.isSafeInteger(stream) || stream < 0) {
    throw new RangeError(
      `Rng.fork: stream ${stream} is not a whole number of at least 0; name other streams with a string`,
    );
  }
  return [stream % 2 ** 32, Math.floor(stream / 2 ** 32), 0];
}

/** A named stream as words: its UTF-8 bytes chained through Philox, eight bytes a step (Davies and Meyer's construction). */
function hashWords(stream: string, key: readonly [number, number]): [number, number, number] {
  const text = new TextEncoder().encode(stream);
  const padded = new Uint8Array(Math.ceil((text.length + 1) / 8) * 8);
  padded.set(text);
  // Ends the text, so that trailing zero bytes count.
  padded[text.length] = 0x80;
  const view = new DataView(padded.buffer);
  let hash: [number, number, number, number] = [key[0], key[1], 0x6e616d65, text.length >>> 0];
  for (let at = 0; at < padded.length; at += 8) {
    const next = philox(hash, [view.getUint32(at, true), view.getUint32(at + 4, true)]);
    hash = [(next[0] ^ hash[0]) >>> 0, (next[1] ^ hash[1]) >>> 0, (next[2] ^ hash[2]) >>> 0, (next[3] ^ hash[3]) >>> 0];
  }
  return [hash[0], hash[1], (hash[2] | 1) >>> 0];
}
