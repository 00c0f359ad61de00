import type { Read } from "./encoder.ts";
import type { BufferStorage } from "./gpu.ts";

/** Bytes that JavaScript makes of others, at this place in the launch list. */
export interface HostCall {
  readonly kind: "host";
  /** What it is given: submitted together with what is before it. */
  readonly read: Read;
  readonly out: BufferStorage;
  readonly work: (bytes: ArrayBuffer) => Promise<Uint8Array>;
  /** Whether what it reads has been submitted. */
  begun: boolean;
  /** Settles once it has its result, or none. */
  readonly over: Promise<void>;
  readonly end: () => void;
}

/** A call that is recorded now. */
export function hostCall(
  storage: BufferStorage,
  bytes: number,
  out: BufferStorage,
  work: (bytes: ArrayBuffer) => Promise<Uint8Array>,
): HostCall {
  let end = (): void => {};
  const over = new Promise<void>((resolve) => {
    end = resolve;
  });
  const read: Read = {
    ...{ kind: "read", storage: storage.recorded(), byteOffset: 0, bytes },
    ...{ staging: undefined, error: undefined },
  };
  return { kind: "host", read, out: out.recorded(), work, begun: false, over, end };
}

/** What went wrong in it, in a line. */
export function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0]!;
}
