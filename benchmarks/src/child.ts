/** The process of one contender: opens it and answers its parent's requests, one at a time. */
import { readFileSync } from "node:fs";
import type { DeviceOptions } from "@deplsr/tensor";
import { type Contender, contenders, type Opened } from "./contender.ts";
import { roofs } from "./roof.ts";
import { cpuRoofs } from "./roof-cpu.ts";
import type { Row } from "./row.ts";
import { loadRows } from "./rows.ts";
import { chooseBatch } from "./statistics.ts";
import type { Task } from "./task.ts";
import { type Answer, NO_ROW, type Request } from "./wire.ts";

const [name, options] = process.argv.slice(2);
const ceilings = [...Object.values(roofs), ...Object.values(cpuRoofs)];
const rows: readonly Row[] = [...(await loadRows()), ...ceilings.map(({ row }) => row)];

let contender: Contender | undefined;
let task: Task | undefined;

async function handle(request: Request): Promise<Answer> {
  switch (request.do) {
    case "open": {
      const start = performance.now();
      contender = await contenders[name as Opened].open(JSON.parse(options ?? "{}") as DeviceOptions);
      return { about: contender.about, libraries: loadedLibraries(), ms: performance.now() - start };
    }
    case "prepare": {
      const start = performance.now();
      task?.dispose();
      task = undefined;
      const preparing = contender?.prepare(find(request.row).tasks, request.way);
      if (preparing === undefined) return { can: false, ms: 0 };
      if (typeof preparing === "string") return { can: false, reason: preparing, ms: 0 };
      task = await preparing;
      if (request.firstRun) await task.run(1);
      return { can: true, ms: performance.now() - start };
    }
    case "result":
      return { result: await current().result() };
    case "warm up":
      return { batch: await warmUp(current(), request.target) };
    case "run": {
      const start = performance.now();
      for (let i = 0; i < request.batch.repeats; i++) await current().run(request.batch.count);
      return { ms: (performance.now() - start) / (request.batch.count * request.batch.repeats) };
    }
    case "profile": {
      const task = current();
      if (!task.profile) throw new Error("the task is no training step that can be looked into");
      return { profile: await task.profile() };
    }
    case "dispose":
      task?.dispose();
      task = undefined;
      return {};
  }
}

/** Runs until caches are filled and code is compiled, and finds out how this contender is best waited for. */
async function warmUp(task: Task, target: number): Promise<ReturnType<typeof chooseBatch>> {
  const timed = async (count: number, repeats: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) await task.run(count);
    return (performance.now() - start) / (count * repeats);
  };
  await timed(1, 1);
  const first = await timed(1, 1);
  // What takes longer than a sample is a sample.
  if (first > target) return { count: 1, repeats: 1 };
  const count = Math.max(2, Math.min(8, Math.round(target / 2 / first)));
  await timed(count, 1);
  // A sample for each way, since JavaScript is compiled for good after hundreds of runs only.
  const long = (each: number): number => Math.max(1, Math.round(target / each));
  const together = await timed(count, long(count * (await timed(count, 1))));
  const single = await timed(1, long(await timed(1, count)));
  const { count: many, repeats } = chooseBatch(together, single, target);
  return chooseBatch(many > 1 ? await timed(many, repeats) : together, single, target);
}

function find(name: string): Row {
  const row = rows.find((each) => each.name === name);
  if (!row) throw new Error(`${NO_ROW} "${name}"`);
  return row;
}

function current(): Task {
  if (!task) throw new Error("nothing is prepared");
  return task;
}

/** The Vulkan loader and the drivers in this process, by their paths; none on systems that do not tell. */
function loadedLibraries(): string[] {
  if (process.platform !== "linux") return [];
  const maps = readFileSync("/proc/self/maps", "utf8");
  return [...new Set(maps.match(/\/\S*\/lib(?:vulkan|vk_)\S*/g))];
}

let queue = Promise.resolve();
process.on("message", (request: Request) => {
  queue = queue.then(async () => {
    try {
      process.send?.({ id: request.id, ...(await handle(request)) });
    } catch (error) {
      process.send?.({ id: request.id, error: error instanceof Error ? error.message : String(error) });
    }
  });
});
// Without the parent there is nobody to answer; native threads of a peer would keep the process alive.
process.on("disconnect", () => process.exit(0));
