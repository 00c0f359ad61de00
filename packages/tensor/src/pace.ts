/** How far a program that reads nothing is ahead of its device. */
import type { Backend } from "./backend.ts";

/** What was handed to each backend and has not been waited for, in order. */
const handed = new WeakMap<Backend, Promise<void>[]>();

/** Hands over what is recorded, and waits for all that was handed over in this way but the last `ahead`. */
export async function paced(backend: Backend, ahead: number): Promise<void> {
  const waiting = handed.get(backend) ?? [];
  handed.set(backend, waiting);
  const done = backend.flush();
  // Whoever waits for it is told; it may be refused before anybody does.
  done.catch(() => {});
  waiting.push(done);
  while (waiting.length > ahead) await waiting.shift();
}
