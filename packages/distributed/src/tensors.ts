/** Tensors that are to be the same in all processes: made so, or seen to be. */
import { assign, type Device, type HostArray, type Tensor } from "@deplsr/tensor";
import { DistributedError, type Numbers, type ProcessGroup } from "./process-group.ts";

/** Tensors by name. */
export type NamedTensors = ReadonlyMap<string, Tensor>;

/** Bytes that are on their way at once. */
const PIECE = 2 ** 26;

/** Writes one process's values to the tensors of all others; what has them already is left as it is. All have the same names, shapes and dtypes. */
export async function broadcastTensors(group: ProcessGroup, tensors: NamedTensors, root = 0): Promise<void> {
  if (group.size === 1) return;
  for (const some of pieces([...tensors.values()])) {
    const own = await Promise.all(some.map((tensor) => tensor.data()));
    const sent = await group.broadcast(joined(own), root);
    let at = 0;
    for (const [i, values] of own.entries()) {
      const bytes = sent.slice(at, at + values.byteLength);
      at += values.byteLength;
      if (group.rank !== root && !same(bytes, bytesOf(values))) write(some[i]!, values, bytes);
    }
  }
}

/**
 * Sees to it that tensors hold the same bits in all processes.
 *
 * @param what they are, for the error
 * @throws DistributedError naming the first that differs, and the rank in which it does, in all processes
 */
export async function checkSameTensors(group: ProcessGroup, tensors: NamedTensors, what: string): Promise<void> {
  if (group.size === 1) return;
  const hashes = new Int32Array(2 * tensors.size);
  let filled = 0;
  for (const some of pieces([...tensors.values()])) {
    for (const values of await Promise.all(some.map((tensor) => tensor.data()))) {
      hashes.set(hashOf(bytesOf(values)), filled);
      filled += 2;
    }
  }
  const all = await group.allGather(hashes);
  const names = [...tensors.keys()];
  const differs = all.findIndex((own) => !same(bytesOf(own), bytesOf(all[0]!)));
  if (differs < 0) return;
  const hosts = await group.allGather(new TextEncoder().encode(group.host));
  const at = all[differs]!.findIndex((word, i) => word !== all[0]![i]);
  const first = names[at >> 1] ?? "their number";
  throw new DistributedError(
    `${what} of rank ${differs} on ${new TextDecoder().decode(hosts[differs])} are not those of rank 0: the first that differs is ${first}`,
  );
}

/**
 * The rows of all processes in one tensor, by rank: `(n, ...)`, of which n may differ. Without a graph.
 *
 * @param own this process's
 */
export async function gatherRows(group: ProcessGroup, own: Tensor): Promise<Tensor> {
  const [, ...row] = own.shape;
  const all = await group.allGather((await own.data()) as Float32Array | Int32Array);
  const size = row.reduce((product, length) => product * length, 1);
  const values = new (all[0]!.constructor as new (length: number) => HostArray)(
    all.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of all) {
    values.set(part, at);
    at += part.length;
  }
  return (own.device as Device).tensor(values, [values.length / size, ...row], { dtype: own.dtype });
}

/** Tensors in runs that are small enough to be in memory on the host together. */
function pieces(tensors: readonly Tensor[]): Tensor[][] {
  const runs: Tensor[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const bytes = 4 * tensor.size;
    if (runs.length === 0 || bytes > room) {
      runs.push([]);
      room = PIECE;
    }
    runs.at(-1)!.push(tensor);
    room -= bytes;
  }
  return runs;
}

function write(tensor: Tensor, like: HostArray, bytes: Uint8Array): void {
  const make = like.constructor as new (buffer: ArrayBufferLike) => HostArray;
  using value = (tensor.device as Device).tensor(new make(bytes.buffer), tensor.shape, { dtype: tensor.dtype });
  assign(tensor, value);
}

function joined(parts: readonly HostArray[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(bytesOf(part), at);
    at += part.byteLength;
  }
  return all;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function bytesOf({ buffer, byteOffset, byteLength }: HostArray | Numbers): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** 64 bits that tell bytes apart, in two halves that are mixed with different numbers (the rounds of MurmurHash3). */
function hashOf(bytes: Uint8Array): readonly [number, number] {
  const whole = bytes.byteLength >>> 2;
  const words =
    bytes.byteOffset % 4 === 0
      ? new Int32Array(bytes.buffer, bytes.byteOffset, whole)
      : new Int32Array(bytes.slice(0, 4 * whole).buffer);
  let [a, b] = [bytes.length, ~bytes.length];
  const mix = (word: number): void => {
    a =
      Math.imul(((a ^ Math.imul(word, 0xcc9e2d51)) << 13) | ((a ^ Math.imul(word, 0xcc9e2d51)) >>> 19), 5) + 0xe6546b64;
    b =
      Math.imul(((b ^ Math.imul(word, 0x1b873593)) << 15) | ((b ^ Math.imul(word, 0x1b873593)) >>> 17), 9) + 0x38495ab5;
  };
  for (const word of words) mix(word);
  for (const byte of bytes.subarray(4 * whole)) mix(byte);
  return [a | 0, b | 0];
}
