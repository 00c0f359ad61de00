import type { Storage, Tape } from "./backend.ts";
import type { Watcher } from "./capturing.ts";
import { isDense } from "./layout.ts";
import type { Reservation, Rng } from "./random.ts";
import { type CaptureInput, naming, type Tensor } from "./tensor.ts";
import type { Value } from "./value.ts";

/** A tensor from outside, as the function found it. */
interface Found {
  readonly value: Value;
  readonly storage: Storage;
}

/** A generator that the function draws from. */
interface Source {
  readonly rng: Rng;
  /** The number of the input that it is. */
  readonly input: number | undefined;
  /** Where it stood before the function drew from it. */
  readonly start: number;
  /** Counters that a call uses up. */
  count: number;
  /** Where it stands before the call that is about to be run again. */
  now: Reservation;
}

/** Sees what a function makes, reads, writes and draws while it is recorded, and knows what each later run of its launches takes and leaves. */
export class CaptureWatcher implements Watcher {
  readonly #tape: Tape | undefined;
  readonly #made = new WeakSet<object>();
  readonly #outside = new Map<Tensor, Found>();
  /** Of those the ones that it writes, with where they lie, and the others, once it is over. */
  readonly #written: (readonly [tensor: Tensor, storage: Storage])[] = [];
  readonly #read: (readonly [tensor: Tensor, value: Value])[] = [];
  readonly #sources: Source[] = [];
  readonly #works: (() => void)[] = [];
  readonly #conditions: (() => boolean)[] = [];

  constructor(tape: Tape | undefined) {
    this.#tape = tape;
  }

  made(what: Tensor | Rng): void {
    this.#made.add(what);
  }

  isOwn(tensor: Tensor): boolean {
    return this.#made.has(tensor);
  }

  isOutside(tensor: Tensor): boolean {
    return this.#outside.has(tensor);
  }

  /** Not held: what is read here stays writable in place. */
  read(tensor: Tensor, value: Value): void {
    const tape = this.#tape;
    if (!tape || this.isOwn(tensor) || this.isOutside(tensor)) return;
    // Computed or laid out now: else the list would do it, from what may be gone by the next run.
    const { storage } = tape.aside(() => value.dense());
    this.#outside.set(tensor, { value, storage });
  }

  /** A generator is input number `input`. */
  takes(rng: Rng, input: number): void {
    const { key, counter: start } = rng.state();
    this.#sources.push({ rng, input, start, count: 0, now: { key, counter: start } });
  }

  drawn(op: string, rng: Rng, { key, counter }: Reservation): () => Reservation {
    let source = this.#sources.find((known) => known.rng === rng);
    if (!source && !this.#made.has(rng)) {
      source = { rng, input: undefined, start: counter, count: 0, now: { key, counter } };
      this.#sources.push(source);
    }
    // Made inside is a copy of one of them, as a checkpoint has it to draw the same again, or gives the same in every call.
    source ??= this.#sources.find(({ now }) => now.key[0] === key[0] && now.key[1] === key[1]);
    if (!source) {
      throw new Error(
        `capture: \`${naming.op ?? op}\` draws from a generator that the function makes, so that its numbers would be those of the first call in every one: pass the generator`,
      );
    }
    const { start } = source;
    const known = source;
    return () => ({ key: known.now.key, counter: known.now.counter + (counter - start) });
  }

  drawnByHost(what: string): never {
    throw new Error(
      `capture: a generator gives JavaScript ${what}, which would be that of the first call in every one: draw before, and pass it`,
    );
  }

  each(work: () => void): void {
    this.#works.push(work);
  }

  expect(condition: () => boolean): void {
    this.#conditions.push(condition);
  }

  once<T>(work: () => T): T {
    return this.#tape ? this.#tape.aside(work) : work();
  }

  /** What a run reads from outside, and writes to. */
  get storages(): readonly Storage[] {
    return Array.from(this.#outside.values(), ({ storage }) => storage);
  }

  /** Where a run writes to outside. */
  get targets(): readonly Storage[] {
    return this.#written.map(([, storage]) => storage);
  }

  /** The function is over. False where something that it writes does not stay where it was: then another run would not write there. */
  end(): boolean {
    for (const source of this.#sources) source.count = source.rng.state().counter - source.start;
    for (const [tensor, { value, storage }] of this.#outside) {
      if (tensor.holder.value === value) this.#read.push([tensor, value]);
      else if (liesIn(tensor, storage)) this.#written.push([tensor, storage]);
      else return false;
    }
    return true;
  }

  /** Whether its launches would do now what the function would: what it reads is as it was, and what it writes is there, for itself alone. */
  stands(): boolean {
    // A step of training has thousands: loops, which leave nothing behind.
    for (const [tensor, value] of this.#read) if (tensor.holder.value !== value) return false;
    for (const [tensor, storage] of this.#written) if (!liesIn(tensor, storage)) return false;
    return this.#conditions.every((condition) => condition());
  }

  /** JavaScript's part of another run, before its launches. */
  before(inputs: readonly CaptureInput[]): void {
    for (const source of this.#sources) {
      const rng = source.input === undefined ? source.rng : (inputs[source.input] as Rng);
      source.now = rng.take(source.count);
    }
    for (const work of this.#works) work();
  }

  /** After its launches: what they have written are other values. */
  after(): void {
    for (const [tensor] of this.#written) tensor.wasWritten("capture");
  }
}

/** Whether a tensor fills a storage that nobody else holds, so that it is written there. */
function liesIn({ holder: { value } }: Tensor, storage: Storage): boolean {
  if (!value?.exclusive) return false;
  const { state } = value;
  return state.kind === "stored" && state.storage === storage && state.layout.offset === 0 && isDense(state.layout);
}
