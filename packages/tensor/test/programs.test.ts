import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { environment } from "#platform";
import { Device } from "../src/index.ts";
import { testDevice } from "../src/testing.ts";
import { generate } from "./programs/generate.ts";
import { describeProgram, type Program } from "./programs/program.ts";
import { run } from "./programs/run.ts";
import { shrink } from "./programs/shrink.ts";
import { slopeErrors } from "./programs/slopes.ts";
import type { Kind } from "./programs/writer.ts";

/*
 * Random programs over the public API, beside a shadow on the host that knows what every number has to be: `exact` ones on whole numbers, to
 * the last bit, and `real` ones to rounding. They write, dispose, forget, read late, nest scopes and go back through their graphs in any
 * order. `DEPLSR_SEED=17 DEPLSR_PROGRAMS=1` runs one again.
 */

const onCpu = (await testDevice()).info.backend === "cpu";
const FIRST = Number(environment("DEPLSR_SEED") ?? 1);
const COUNTS = onCpu ? { exact: 200, real: 200 } : { exact: 100, real: 20 };

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** The suite's device and another one beside it; on the CPU with one thread and with two. */
async function openDevices(): Promise<Device[]> {
  const first = onCpu ? await Device.request({ backend: "cpu", threads: 2 }) : await Device.request();
  return [first, await Device.request({ backend: "cpu", threads: 1 })];
}

/** What goes wrong in a program, or undefined. A device is not used again after that. */
async function failure(program: Program, devices: { list: Device[] }, exact: boolean): Promise<string | undefined> {
  try {
    await run(program, { devices: devices.list, exact, collect });
    return undefined;
  } catch (error) {
    for (const device of devices.list) device.destroy();
    devices.list = await openDevices();
    return error instanceof Error ? error.message : String(error);
  }
}

async function check(seed: number, kind: Kind, devices: { list: Device[] }): Promise<void> {
  const program = generate(seed, kind);
  const first = await failure(program, devices, kind.exact);
  if (!first) return;
  let last = first;
  const small = await shrink(program, kind.exact, async (candidate) => {
    const found = await failure(candidate, devices, kind.exact);
    last = found ?? last;
    return found !== undefined;
  });
  expect.fail(
    `program ${seed}: ${first}\nleft of it: ${last}\n${describeProgram(small)}\nagain: DEPLSR_SEED=${seed} DEPLSR_PROGRAMS=1`,
  );
}

for (const name of ["exact", "real"] as const) {
  const count = Number(environment("DEPLSR_PROGRAMS") ?? COUNTS[name]);
  it(`${count} random programs of ${name} numbers give what their shadows give`, { timeout: 1_800_000 }, async () => {
    const devices = { list: await openDevices() };
    const half = devices.list.every((device) => device.info.features.includes("shader-f16"));
    const kind: Kind = { exact: name === "exact", few: !onCpu, devices: devices.list.length, half };
    for (let seed = FIRST; seed < FIRST + count; seed++) await check(seed, kind, devices);
    for (const device of devices.list) device.destroy();
  });
}

it("the shadow's own slopes are those of its values", () => {
  expect(slopeErrors()).toEqual([]);
});
