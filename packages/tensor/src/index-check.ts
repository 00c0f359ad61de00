/**
 * Indices that only the device knows: whether they name positions that there are is found out by the device, and told by the next read or
 * `sync`. Each costs a small reduction to its largest number; a negative one is, read as unsigned, larger than all others.
 */
import type { Backend, Storage, View } from "./backend.ts";
import { capturing } from "./capturing.ts";
import { bytesPerElement } from "./dtype.ts";
import { ShapeError } from "./errors.ts";
import { denseLayout } from "./layout.ts";
import { allocated } from "./value.ts";

interface Check {
  /** Holds the largest number, as u32. */
  readonly largest: Storage;
  /** One past the last position. */
  readonly bound: number;
  readonly signed: boolean;
  /** The message, from the number that is wrong. */
  readonly message: (wrong: number) => string;
}

/** So many wait for a read at most; then they are read without one. */
const MOST_PENDING = 64;
/** Longer indices are reduced in two launches, the first of which has many outputs: whole numbers walk down an axis, one thread each. */
const LONG = 64;

class IndexChecks {
  readonly #backend: Backend;
  #pending: Check[] = [];
  /** What was read and not told yet. */
  #reading: Promise<ShapeError | undefined> | undefined;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** @param index dense, i32 or u32, not empty */
  add(index: View, count: number, bound: number, message: Check["message"]): void {
    if (this.#pending.length === MOST_PENDING) this.#read();
    const numbers: View = { ...index, dtype: "u32" };
    const largest = count <= LONG ? this.#reduce(numbers, count, 1, 1) : this.#reduceLong(numbers, count);
    this.#pending.push({ largest, bound, signed: index.dtype === "i32", message });
  }

  /** Rows that overlap so that they cover `count` numbers, as many as they are long. */
  #reduceLong(index: View, count: number): Storage {
    const rows = Math.floor(Math.sqrt(count));
    const step = Math.floor(count / rows);
    const length = count - (rows - 1) * step;
    const columns = this.#reduce(index, rows, step, length);
    try {
      const layout = denseLayout([length]);
      return this.#reduce({ storage: columns, layout, dtype: "u32" }, length, 1, 1);
    } finally {
      columns.release();
    }
  }

  /** The largest of `n` numbers that lie `step` apart, for `length` neighbours. */
  #reduce({ storage, layout: { offset } }: View, n: number, step: number, length: number): Storage {
    const shape = [1, n, length];
    const input: View = { storage, dtype: "u32", layout: { shape, strides: [n * step, step, 1], offset } };
    return allocated(this.#backend, length * bytesPerElement("u32"), "index check", (storage) =>
      this.#backend.reduce({
        kind: "max",
        input,
        out: { storage, layout: denseLayout([1, 1, length]), dtype: "u32" },
      }),
    );
  }

  /** Reads what is pending; one that is wrong is kept for `settle`. */
  #read(): void {
    const checks = this.#pending.splice(0);
    const before = this.#reading;
    const found = this.#download(checks);
    const reading = Promise.all([before, found]).then(([earlier, numbers]) => {
      if (earlier) return earlier;
      const at = checks.findIndex(({ bound }, i) => numbers[i]! >= bound);
      if (at < 0) return undefined;
      const { signed, message } = checks[at]!;
      return new ShapeError(message(signed ? numbers[at]! | 0 : numbers[at]!));
    });
    // Whoever settles hears of a failure.
    reading.catch(() => {});
    this.#reading = reading;
  }

  async #download(checks: readonly Check[]): Promise<Uint32Array> {
    const bytes = checks.length * bytesPerElement("u32");
    let all = checks[0]!.largest;
    try {
      if (checks.length > 1) {
        all = allocated(this.#backend, bytes, "index checks", (storage) => {
          checks.forEach(({ largest }, i) => {
            const layout = { ...denseLayout([1]), offset: i };
            this.#backend.copy({
              out: { storage, layout, dtype: "u32" },
              input: { storage: largest, layout: denseLayout([1]), dtype: "u32" },
            });
          });
        });
      }
      return new Uint32Array(await this.#backend.download(all, 0, bytes));
    } finally {
      if (checks.length > 1) all.release();
      for (const { largest } of checks) largest.release();
    }
  }

  async settle(): Promise<void> {
    if (this.#pending.length > 0) this.#read();
    const reading = this.#reading;
    if (!reading) return;
    try {
      const wrong = await reading;
      if (wrong) throw wrong;
    } finally {
      if (this.#reading === reading) this.#reading = undefined;
    }
  }
}

const known = new WeakMap<Backend, IndexChecks>();

/** Has the device look, in a captured function once, whether all `count` numbers of a dense index are at least 0 and below `bound`. */
export function checkLater(
  backend: Backend,
  index: View,
  count: number,
  bound: number,
  message: (wrong: number) => string,
): void {
  const checks = known.get(backend) ?? new IndexChecks(backend);
  known.set(backend, checks);
  const look = (): void => checks.add(index, count, bound, message);
  if (capturing.watcher) capturing.watcher.once(look);
  else look();
}

/** Waits for what is being looked at. @throws ShapeError for an index that was out of range, once */
export async function settleIndices(backend: Backend): Promise<void> {
  await known.get(backend)?.settle();
}
