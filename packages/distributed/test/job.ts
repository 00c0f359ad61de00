/** One process of a job that the tests start with mpirun: does what it is asked for, one after the other, and writes what
 * came out to a folder, as `RANK.json`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Numbers, openProcessGroup, type ProcessGroup } from "../src/index.ts";
import { numbersOf } from "./numbers.ts";

const CASES: Readonly<Record<string, (group: ProcessGroup) => Promise<unknown>>> = {
  async who({ rank, size, host, library }) {
    return { rank, size, host, library };
  },
  /** Sums of many lengths, also fewer values than processes, and all reductions and types. */
  async reduce(group) {
    const results: unknown[] = [];
    for (const type of ["f32", "f64", "i32"] as const) {
      for (const reduction of ["sum", "max", "min"] as const) {
        for (const length of [0, 1, 2, 7, 1000]) {
          const values = numbersOf(type, length, group.rank);
          const all = await group.allReduce(values, reduction);
          const part = await group.reduceScatter(values, reduction);
          results.push({ type, reduction, length, all: Array.from(all), part: Array.from(part) });
        }
      }
    }
    return results;
  },
  /** More than goes over at once: 20 million values, of which the sums of a few are told. */
  async large(group) {
    const values = new Float32Array(20_000_003).map((_, i) => ((i * 31 + group.rank * 17) % 1009) / 1009);
    const all = await group.allReduce(values);
    const part = await group.reduceScatter(values);
    const whole = await group.allGather(part);
    const joined = new Float32Array(values.length);
    let at = 0;
    for (const each of whole) {
      joined.set(each, at);
      at += each.length;
    }
    const sent = await group.broadcast(group.rank === 0 ? all : new Float32Array(all.length));
    return {
      at: [0, 12_345_678, values.length - 1].map((i) => all[i]),
      joined: joined.every((value, i) => value === all[i]),
      sent: sent.every((value, i) => value === all[i]),
    };
  },
  /** A fault of WebAssembly, which V8 tells from the signal. */
  async trap() {
    // (module (memory 1) (func (export "read") (param i32) (result i32) (i32.load (local.get 0))))
    const code = Buffer.from(
      "0061736d01000000" +
        "01060160017f017f" +
        "03020100" +
        "0503010001" +
        "0708010472656164" +
        "0000" +
        "0a0901070020002802000b",
      "hex",
    );
    const { instance } = await WebAssembly.instantiate(code);
    try {
      return (instance.exports.read as (at: number) => number)(1 << 20);
    } catch (error) {
      return String(error);
    }
  },
  async environment() {
    return [process.env.UCX_MEM_MMAP_HOOK_MODE, process.env.UCX_MEM_MALLOC_HOOKS, process.env.UCX_ERROR_SIGNALS];
  },
  async gather(group) {
    const own = numbersOf("f32", 3 * group.rank, group.rank);
    const gathered = await group.allGather(own);
    const bytes = await group.allGather(new TextEncoder().encode(`rank ${group.rank}`) as Numbers);
    return { gathered: gathered.map((part) => Array.from(part)), bytes: bytes.map((part) => Array.from(part)) };
  },
  async broadcast(group) {
    const root = group.size - 1;
    return Array.from(await group.broadcast(numbersOf("f64", 5, group.rank), root));
  },
  /** Calls that nobody waits for in between keep their order. */
  async overlapping(group) {
    const sums = Array.from({ length: 20 }, (_, i) => group.allReduce(Int32Array.of(i + group.rank)));
    await group.barrier();
    return (await Promise.all(sums)).map(([sum]) => sum);
  },
  /** Calls that this thread stands still for, behind one that it does not wait for. */
  async still(group) {
    const before = group.allReduce(Int32Array.of(group.rank));
    const results: unknown[] = [];
    for (const type of ["f32", "f64", "i32"] as const) {
      for (const reduction of ["sum", "max", "min"] as const) {
        for (const length of [0, 1, 7, 1000])
          results.push(Array.from(group.allReduceSync(numbersOf(type, length, group.rank), reduction)));
      }
    }
    const gathered = group.allGatherSync(numbersOf("f64", 3 * group.rank, group.rank));
    return { before: (await before)[0], results, gathered: gathered.map((part) => Array.from(part)) };
  },
  /** Calls of two communicators, in another order in each process; each first one of the last rank waits for a second one of the others. */
  async duplicated(group) {
    const own = await group.duplicate();
    const last = group.rank === group.size - 1;
    const sums: Promise<Int32Array>[] = [];
    const gathered: number[][] = [];
    const call = (i: number): void => void sums.push(group.allReduce(Int32Array.of(i + group.rank)));
    const stand = (i: number): void => {
      gathered.push(own.allGatherSync(Int32Array.of(10 * i + group.rank)).map(([value]) => value!));
    };
    for (let i = 0; i < 20; i++) for (const each of last ? [call, stand] : [stand, call]) each(i);
    const later = own.allReduce(Int32Array.of(1));
    return { size: own.size, gathered, sums: (await Promise.all(sums)).map(([sum]) => sum), later: (await later)[0] };
  },
  /** Leaves while a call of another communicator is under way. */
  async leaves(group) {
    const own = await group.duplicate();
    const sum = own.allReduce(new Float32Array(1_000_000).fill(1));
    return { begun: sum instanceof Promise };
  },
  async refused(group) {
    await group.broadcast(Int32Array.of(1), group.size).catch((error) => console.error(String(error)));
    return "went on";
  },
  /** The last rank gives up; the others wait for it. */
  async abort(group) {
    if (group.rank === group.size - 1) await group.abort(7);
    await group.barrier();
    return "not reached";
  },
  /** The last rank dies of an error. */
  async dies(group) {
    if (group.rank === group.size - 1) throw new Error("this rank has had enough");
    await group.barrier();
    return "not reached";
  },
};

const group = await openProcessGroup();
const [, , folder, ...names] = process.argv;
const values: Record<string, unknown> = {};
for (const name of names) values[name] = await CASES[name]!(group);
writeFileSync(join(folder!, `${group.rank}.json`), JSON.stringify(values));
await group.close();
