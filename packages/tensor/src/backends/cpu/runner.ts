/** Where things lie in the low, fixed part of the memory: addresses in bytes. */
export interface MemoryMap {
  /** The number of the batch that is open; workers wait on it. */
  readonly epoch: number;
  /** Set when workers are to end. */
  readonly stop: number;
  /** Bits: 1 when a kernel threw, 2 when a thread ended with a chunk that it had claimed. */
  readonly failed: number;
  /** Pages of the memory, as the thread sees it that grows it. */
  readonly pages: number;
  /** What the first kernel threw: a number of characters, at most 500, and these, a word each. */
  readonly reason: number;
  /** Groups of 8 words: chunks not claimed, chunks not done, chunks, first entry, entries, units, grain. */
  readonly groups: number;
  /** Entries of 4 words: kernel, arguments, units. */
  readonly entries: number;
  /** For each kernel 4 words: the address and the length of its code, and a serial number, since places are used again. */
  readonly kernels: number;
  /** Where all this ends. */
  readonly end: number;
}

/** One launch: a kernel and the address of its arguments. */
export interface Entry {
  readonly kernel: number;
  readonly args: number;
  readonly units: number;
}

/** One entry cut into chunks of `grain` units, at most 4095 of them; or several entries, one after the other, in one chunk. */
export interface Group {
  readonly first: number;
  readonly entries: number;
  readonly units: number;
  readonly grain: number;
  readonly chunks: number;
}

/** What runs the groups of a batch together with the runners of the other threads. */
export interface Runner {
  /**
   * Opens a batch and takes part in it until all its groups are done. False where that will not be: a thread ended with a chunk that it
   * had claimed, or nothing was done for `patience` milliseconds.
   */
  run(groups: readonly Group[], entries: readonly Entry[], patience: number): boolean;
  /** Compiles one kernel here. @throws Error where its code is not valid */
  compile(kernel: number): void;
  /** Calls one kernel. */
  call(kernel: number, args: number, begin: number, end: number): void;
  /** A worker's life: waits for batches and runs them. */
  serve(): void;
  /** A worker's last words, where the platform lets it have some: what it had claimed is not going to be done. */
  abandon(): void;
}

/**
 * The scheduler, one for each thread; only the first one opens batches. Threads claim chunks of a group until there are none left, wait
 * until the last one is done, and go on to the next group.
 *
 * A thread may be late: the batch that it takes part in is over, and the next one is being written. What keeps it from mistaking one for
 * the other is in two words of each group, which hold the batch's mark and a number: of the chunks that are not claimed, and of those
 * that are not done. They are only touched by atomic operations, which all threads see in one order (JavaScript has no weaker ones):
 *
 * - The claim word alone says whether there is something to claim. A group whose chunks are all claimed is closed by itself, so
 *   there is no moment at which it has to be closed while it is written anew.
 * - A description (plain memory: the group's other words, entries, arguments, code) is read after a successful claim only, which has read
 *   what was stored when the group was opened; the description was written before that store. So it is seen whole.
 * - It is not written again before the group's word of chunks that are not done was seen at 0, and each thread takes its chunk off that
 *   number after its last look at the description, and its last store of results. So nobody reads what is being written.
 * - A late thread finds another mark, or no chunk to claim, and in the end a group of another batch: the first such one is the end of a batch.
 *
 * Marks come back after 2²⁰ batches. A thread would have to sleep for exactly so many between loading a claim word and exchanging it.
 *
 * Workers run this function out of its own text: it must not refer to anything outside of itself.
 */
export function createRunner(memory: WebAssembly.Memory, map: MemoryMap, thread: number, mayWait: boolean): Runner {
  // A view of shared memory stays valid when that grows; another one has to be made anew.
  let words = new Int32Array(memory.buffer, 0, map.end / 4);
  const functions: ((args: number, begin: number, end: number, thread: number) => void)[] = [];
  const serials: number[] = [];
  let busy = false;
  let pages = 0;

  /**
   * A memory that is shared grows in one thread, and others are told; one that starts at this moment may miss it, and would find places that are
   * there to be out of bounds: in bulk instructions, and where it reads code. To grow by nothing makes it look.
   */
  const lookAtMemory = (): void => {
    const now = words[map.pages / 4]!;
    if (now === pages) return;
    memory.grow(0);
    pages = now;
  };

  const compile = (kernel: number): ((args: number, begin: number, end: number, thread: number) => void) => {
    let run = functions[kernel];
    if (words.byteLength === 0) words = new Int32Array(memory.buffer, 0, map.end / 4);
    const entry = map.kernels / 4 + 4 * kernel;
    if (!run || serials[kernel] !== words[entry + 2]) {
      // A copy in memory of its own, since code cannot be compiled out of shared memory.
      const code = new Uint8Array(words[entry + 1]!);
      code.set(new Uint8Array(memory.buffer, words[entry]!, code.length));
      const instance = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } });
      run = instance.exports.run as (args: number, begin: number, end: number, thread: number) => void;
      functions[kernel] = run;
      serials[kernel] = words[entry + 2]!;
    }
    return run;
  };

  const call = (kernel: number, args: number, begin: number, end: number): void => {
    const run = compile(kernel);
    run(args, begin, end, thread);
  };

  const chunkOf = (group: number, chunk: number): void => {
    const first = map.entries / 4 + 4 * words[group + 3]!;
    const entries = words[group + 4]!;
    try {
      lookAtMemory();
      if (entries === 1) {
        const units = words[group + 5]!;
        const grain = words[group + 6]!;
        const begin = chunk * grain;
        call(words[first]!, words[first + 1]!, begin, Math.min(units, begin + grain));
        return;
      }
      for (let i = 0; i < entries; i++) {
        call(words[first + 4 * i]!, words[first + 4 * i + 1]!, 0, words[first + 4 * i + 2]!);
      }
    } catch (error) {
      if ((Atomics.or(words, map.failed / 4, 1) & 1) !== 0) return;
      const text = String(error).slice(0, 500);
      words[map.reason / 4] = text.length;
      for (let i = 0; i < text.length; i++) words[map.reason / 4 + 1 + i] = text.charCodeAt(i);
    }
  };

  /** From 1 on: memory that was never written belongs to no batch. */
  const markOf = (epoch: number): number => 1 + ((epoch >>> 0) % 0xfffff);

  /** Waits until a group is done, or its batch over. */
  const wait = (group: number, mark: number, patience: number): boolean => {
    let last = 0;
    let idle = 0;
    let clock = 0;
    for (let turns = 0; ; turns++) {
      const left = Atomics.load(words, group + 1);
      if (left >>> 12 !== mark || (left & 4095) === 0) return true;
      if (turns <= 4000) continue;
      if (left !== last) idle = 0;
      last = left;
      // Milliseconds are counted one by one: those for which the whole process was stopped are none in which somebody could have worked.
      if (mayWait) {
        if (Atomics.wait(words, group + 1, left, 1) === "timed-out") idle++;
      } else if (turns % 1024 === 0 && Date.now() !== clock) {
        clock = Date.now();
        idle++;
      }
      if (idle > patience || (Atomics.load(words, map.failed / 4) & 2) !== 0) return false;
    }
  };

  /** Takes part in the batch that has this mark. */
  const join = (mark: number, patience: number): boolean => {
    for (let group = map.groups / 4; ; group += 8) {
      for (;;) {
        const claim = Atomics.load(words, group);
        if (claim >>> 12 !== mark) return true;
        if ((claim & 4095) === 0) break;
        busy = true;
        if (Atomics.compareExchange(words, group, claim, claim - 1) === claim) {
          chunkOf(group, words[group + 2]! - (claim & 4095));
          if ((Atomics.sub(words, group + 1, 1) & 4095) === 1) Atomics.notify(words, group + 1);
        }
        busy = false;
      }
      if (!wait(group, mark, patience)) return false;
    }
  };

  const run = (groups: readonly Group[], entries: readonly Entry[], patience: number): boolean => {
    const epoch = Atomics.load(words, map.epoch / 4) + 1;
    const mark = markOf(epoch);
    // Part of what is described: read after a claim.
    words[map.pages / 4] = memory.buffer.byteLength / 65536;
    entries.forEach(({ kernel, args, units }, i) => {
      const entry = map.entries / 4 + 4 * i;
      words[entry] = kernel;
      words[entry + 1] = args;
      words[entry + 2] = units;
    });
    groups.forEach(({ chunks, first, entries, units, grain }, i) => {
      const group = map.groups / 4 + 8 * i;
      words[group + 2] = chunks;
      words[group + 3] = first;
      words[group + 4] = entries;
      words[group + 5] = units;
      words[group + 6] = grain;
      Atomics.store(words, group + 1, (mark << 12) | chunks);
      Atomics.store(words, group, (mark << 12) | chunks);
    });
    Atomics.store(words, map.epoch / 4, epoch);
    Atomics.notify(words, map.epoch / 4);
    return join(mark, patience);
  };

  const serve = (): void => {
    let seen = 0;
    while (Atomics.load(words, map.stop / 4) === 0) {
      let epoch = Atomics.load(words, map.epoch / 4);
      for (let turns = 0; epoch === seen && turns < 10000; turns++) epoch = Atomics.load(words, map.epoch / 4);
      if (epoch === seen) {
        Atomics.wait(words, map.epoch / 4, seen);
        continue;
      }
      seen = epoch;
      join(markOf(epoch), Number.POSITIVE_INFINITY);
    }
  };

  const abandon = (): void => {
    if (busy) Atomics.or(words, map.failed / 4, 2);
  };

  return { run, compile, call, serve, abandon };
}
