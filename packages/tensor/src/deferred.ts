import type { Backend, Epilogue, Lot, Storage, View } from "./backend.ts";
import type { DType } from "./dtype.ts";
import { DeviceError } from "./errors.ts";
import { denseLayout } from "./layout.ts";
import type { Shape } from "./shape.ts";

/** What a launch writes, and how it is recorded. */
export interface Work {
  /** Of the result, which is dense. */
  readonly shape: Shape;
  readonly dtype: DType;
  readonly label: string;
  /** What the launch reads. */
  readonly reads: readonly View[];
  /** Leaves of the largest epilogue that it has room for, its own result among them; default 6. */
  readonly leaves?: number;
  /** Records the launch; with an epilogue, what it computes goes where that says, and `out` says its sizes. */
  record(out: View, epilogue?: Epilogue): void;
}

/** A value, as far as it matters to what it reads. */
export interface Reader {
  /** True where its numbers will be read, or may well be. */
  readonly wanted: boolean;
}

/** Leaves of a tree that ends a launch: with the result and what else such a launch binds they stay within 8 storages. */
export const MAX_EPILOGUE_LEAVES = 6;

let nextId = 1;
/** What is going to read a storage, once for each time that it holds it. */
const waiting = new WeakMap<Storage, Deferred[]>();
/** What some memory was while it was deferred; others may have it as that still. */
const origins = new WeakMap<Storage, Deferred>();
/** Copies and rotations wait for one another; so many in a row are recorded before the next one, so that no chain is as long as a program. */
const DEEPEST = 16;

/**
 * Records what is going to read a storage where nobody else has it any more, so that its memory goes back. What is wanted by nobody itself is
 * left alone, and where there is no room for the results the memory stays held.
 */
export function finishReaders(storage: Storage): void {
  const origin = origins.get(storage);
  const direct = waiting.get(storage) ?? [];
  const through = (origin && waiting.get(origin)) ?? [];
  if (origin && through.length < origin.references) return;
  if (direct.length + (origin ? 1 : 0) < storage.references) return;
  for (const reader of [...direct, ...through]) {
    if (!reader.wanted) continue;
    try {
      reader.settled();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
  }
}

/**
 * Memory that a launch is going to write once something reads it. Until then the launch can be told to go on computing with its results
 * (an epilogue), in which case they are never stored themselves, nor is there memory for them.
 */
export class Deferred implements Storage {
  readonly bytes: number;
  /** Later ones have higher numbers. */
  readonly id = nextId++;
  /** The values that read it, or are it. */
  readonly holders = new Set<Reader>();
  readonly #backend: Backend;
  readonly #label: string;
  #work: Work | undefined;
  #real: Storage | undefined;
  #references = 1;
  #taken = false;

  constructor(backend: Backend, work: Work, bytes: number, label: string) {
    this.#backend = backend;
    this.#work = work;
    this.bytes = bytes;
    this.#label = label;
    for (const { storage } of work.reads) {
      storage.retain();
      const known = waiting.get(storage);
      if (known) known.push(this);
      else waiting.set(storage, [this]);
    }
  }

  get references(): number {
    return this.#references;
  }

  get lot(): Lot | undefined {
    return this.#real?.lot;
  }

  get piece(): number {
    return this.#real?.piece ?? 0;
  }

  /** What the launch is going to read; nothing once it has been recorded. */
  get reads(): readonly View[] {
    return this.#work?.reads ?? [];
  }

  /** Leaves of the largest epilogue that it has room for. */
  get leaves(): number {
    return this.#work?.leaves ?? MAX_EPILOGUE_LEAVES;
  }

  /** How many launches wait for one another, this one included. */
  get depth(): number {
    let most = 0;
    for (const { storage } of this.reads) if (storage instanceof Deferred) most = Math.max(most, storage.depth);
    return most + 1;
  }

  /** False where its results have been taken, and nobody is known to read them. */
  get wanted(): boolean {
    if (!this.#taken) return true;
    for (const holder of this.holders) if (holder.wanted) return true;
    return false;
  }

  retain(): void {
    this.#check("taken");
    this.#references++;
  }

  release(): void {
    this.#check("given back");
    if (--this.#references > 0) return;
    this.#forget();
    this.#real?.release();
    this.#real = undefined;
  }

  #check(what: string): void {
    if (this.#references === 0)
      throw new Error(`internal: the memory of ${this.#label} is ${what} after it was given back`);
  }

  #forget(): void {
    const work = this.#work;
    this.#work = undefined;
    for (const { storage } of work?.reads ?? []) {
      const known = waiting.get(storage)!;
      known.splice(known.indexOf(this), 1);
      if (known.length === 0) waiting.delete(storage);
      storage.release();
    }
  }

  /** The memory where it is there already. */
  get real(): Storage | undefined {
    return this.#real;
  }

  /** The memory; the launch is recorded now unless it has been. */
  settled(): Storage {
    this.#check("read");
    if (this.#real) return this.#real;
    const { shape, dtype, record } = this.#work!;
    const storage = this.#backend.allocate(this.bytes, this.#label);
    try {
      record({ storage, layout: denseLayout(shape), dtype });
    } catch (error) {
      storage.release();
      throw error;
    }
    this.#real = storage;
    origins.set(storage, this);
    this.#forget();
    return storage;
  }

  /**
   * True where its results need not be stored for anyone but `asker`, a value or, where it is left out, one of the launches that wait. They are
   * computed again if that turns out to be wrong, which is not risked twice.
   */
  endsIn(asker?: Reader): boolean {
    if (this.#real || this.#taken) return false;
    for (const holder of this.holders) if (holder !== asker && holder.wanted) return false;
    const launches = waiting.get(this)?.filter(({ wanted }) => wanted) ?? [];
    return launches.length <= (asker ? 0 : 1);
  }

  /** Records the launch with this epilogue. */
  take(epilogue: Epilogue): void {
    const { shape, dtype, record } = this.#work!;
    record({ storage: epilogue.out.storage, layout: denseLayout(shape), dtype }, epilogue);
    this.#taken = true;
  }
}

/** A view for a launch that waits: what would wait for too many others is recorded now. */
export function waitable(view: View): View {
  return view.storage instanceof Deferred && !view.storage.real && view.storage.depth >= DEEPEST ? real(view) : view;
}

/** A view for a kernel: what is deferred is recorded now. */
export function real(view: View): View {
  return view.storage instanceof Deferred ? { ...view, storage: view.storage.settled() } : view;
}
