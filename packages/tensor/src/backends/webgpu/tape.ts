import type { Storage, Tape } from "../../backend.ts";
import type { WebGPU } from "./device.ts";
import type { BufferStorage } from "./gpu.ts";
import { RecordedTape } from "./recorded-tape.ts";
import { Arena } from "./storage.ts";

/** Begins to write down what is launched, in buffers that nobody else gets before the tape is released. */
export function recordTape(gpu: WebGPU): Tape {
  const { queue, pool } = gpu;
  const tape = new RecordedTape();
  const arena = new Arena();
  const begin = (): void => {
    queue.tape = tape;
    pool.arena = arena;
  };
  const pause = (): void => {
    queue.tape = undefined;
    pool.arena = undefined;
  };
  begin();
  return {
    aside(work) {
      pause();
      try {
        return work();
      } finally {
        begin();
      }
    },
    end(results) {
      pause();
      const kept = new Set((results as readonly BufferStorage[]).map(({ place }) => place.window?.of ?? place));
      return [...arena.buffers].every(([buffer, { free }]) => free || kept.has(buffer));
    },
    get failed() {
      return tape.failed;
    },
    replay(inputs: readonly Storage[], outputs: readonly Storage[]) {
      gpu.throwIfFailed();
      queue.replay(tape, inputs as readonly BufferStorage[], outputs as readonly BufferStorage[]);
    },
    release() {
      for (const entry of tape.entries) if (entry.kind === "move") entry.from.release();
      tape.release();
      pool.release(arena);
    },
  };
}

/** Keeps a copy of what is uploaded while a tape is recorded, and takes it from there in each run. */
export function keepUpload(gpu: WebGPU, tape: RecordedTape, to: BufferStorage, bytes: Uint8Array): void {
  const { queue, pool } = gpu;
  const { arena } = pool;
  // The copy is made once: nothing that is done for it belongs to the list.
  queue.tape = undefined;
  pool.arena = undefined;
  try {
    const from = pool.take(bytes.byteLength, "upload of a tape");
    queue.upload(from, bytes);
    tape.entries.push({ kind: "move", from, to, bytes: bytes.byteLength });
  } finally {
    queue.tape = tape;
    pool.arena = arena;
  }
}
