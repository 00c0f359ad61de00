/** Free stretches of an address space, in the order of their addresses; what touches is one. */
export class Extents {
  readonly #starts: number[] = [];
  readonly #sizes: number[] = [];
  #bytes = 0;

  /** Bytes of all of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes `size` bytes out of the smallest stretch that has so many, out of the lowest of several. */
  take(size: number): number | undefined {
    const sizes = this.#sizes;
    let best = -1;
    for (let i = 0; i < sizes.length; i++) {
      if (sizes[i]! >= size && (best < 0 || sizes[i]! < sizes[best]!)) best = i;
    }
    if (best < 0) return undefined;
    const start = this.#starts[best]!;
    this.#remove(best, start, size);
    return start;
  }

  /** Takes out the bytes from `start` on; false where they are not all free. */
  takeAt(start: number, size: number): boolean {
    const i = this.#below(start + 1) - 1;
    if (i < 0 || this.#starts[i]! + this.#sizes[i]! < start + size) return false;
    this.#remove(i, start, size);
    return true;
  }

  /** Takes out the last stretch where it ends at `end`. @returns the end of what lies before it */
  takeEnd(end: number): number {
    const last = this.#starts.length - 1;
    if (last < 0 || this.#starts[last]! + this.#sizes[last]! !== end) return end;
    const start = this.#starts[last]!;
    this.#remove(last, start, end - start);
    return start;
  }

  /** Takes in what is free from now on. */
  add(start: number, size: number): void {
    const [starts, sizes] = [this.#starts, this.#sizes];
    this.#bytes += size;
    const i = this.#below(start);
    const joinsLast = i > 0 && starts[i - 1]! + sizes[i - 1]! === start;
    const joinsNext = starts[i] === start + size;
    if (joinsLast) {
      sizes[i - 1]! += size + (joinsNext ? sizes[i]! : 0);
      if (joinsNext) this.#splice(i, 1);
    } else if (joinsNext) {
      starts[i] = start;
      sizes[i]! += size;
    } else this.#splice(i, 0, [start, size]);
  }

  /** How many begin below `address`. */
  #below(address: number): number {
    let [low, high] = [0, this.#starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Cuts `size` bytes from `start` on out of stretch `i`. */
  #remove(i: number, start: number, size: number): void {
    const begin = this.#starts[i]!;
    const end = begin + this.#sizes[i]!;
    this.#bytes -= size;
    const left: [number, number][] = [];
    if (start > begin) left.push([begin, start - begin]);
    if (start + size < end) left.push([start + size, end - start - size]);
    if (left.length === 1) [this.#starts[i], this.#sizes[i]] = left[0]!;
    else this.#splice(i, 1, ...left);
  }

  #splice(i: number, count: number, ...added: readonly [start: number, size: number][]): void {
    this.#starts.splice(i, count, ...added.map(([start]) => start));
    this.#sizes.splice(i, count, ...added.map(([, size]) => size));
  }
}
