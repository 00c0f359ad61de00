/** Values of any kind between the processes of a job, as MPI knows bytes only. */
import { deserialize, serialize } from "node:v8";
import type { ProcessGroup } from "@deplsr/distributed";

/** Every process's value, by rank. Values are what a structured clone keeps: numbers to the bit, arrays, maps, plain objects. */
export async function gather<T>(group: ProcessGroup, value: T): Promise<T[]> {
  if (group.size === 1) return [value];
  const parts = await group.allGather(new Uint8Array(serialize(value)));
  return parts.map((bytes) => deserialize(bytes) as T);
}

/** What the first process makes, in all of them: where they must see one thing, a list of files say, only one looks. */
export async function fromFirst<T>(group: ProcessGroup, make: () => T | Promise<T>): Promise<T> {
  if (group.size === 1) return make();
  const made = group.rank === 0 ? new Uint8Array(serialize(await make())) : new Uint8Array();
  const [length = 0] = await group.broadcast(Float64Array.of(made.length));
  const bytes = await group.broadcast(group.rank === 0 ? made : new Uint8Array(length));
  return deserialize(bytes) as T;
}
