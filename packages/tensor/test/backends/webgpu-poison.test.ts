import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));

// In a process of its own, since the variables are read once; on WebGPU on every run, since it is about a kernel.
const program = `
import { add, Device } from "@deplsr/tensor";
const device = await Device.request({ backend: "webgpu" });
const { backend } = device;
const words = async (storage) => [...new Set(new Uint32Array(await backend.download(storage, 0, storage.bytes)))];

const fresh = backend.allocate(40_000, "fresh");
console.log("fresh", await words(fresh));

backend.upload(fresh, new Uint8Array(40_000).fill(1));
const before = words(fresh);
fresh.release();
const again = backend.allocate(40_000, "again");
console.log("read before", (await before).join());
console.log("again", await words(again));

let x = device.tensor(new Array(1000).fill(3));
for (let i = 0; i < 300; i++) {
  const next = add(x, 1);
  next.view();
  x.dispose();
  x = next;
}
console.log("sum", (await x.data()).reduce((a, b) => a + b, 0));
device.destroy();
x.dispose();
again.release();
`;

async function output(poison: string): Promise<string> {
  const args = ["--import", "tsx", "--conditions", "@deplsr/source", "--input-type=module", "--eval", program];
  const variables = { DEPLSR_POISON: poison, DEPLSR_DEBUG: "" };
  return (await run(process.execPath, args, { cwd: root, env: { ...process.env, ...variables } })).stdout;
}

it("fills memory that is new or was given back, after what was recorded before", async () => {
  const text = await output("1");
  expect(text).toContain("fresh [ 4294967295 ]");
  expect(text).toContain("again [ 4294967295 ]");
  expect(text).toMatch(/read before (16843009|16843009,4294967295)\n/); // The rest of the last size class was not written.
  expect(text).toContain("sum 303000");
});

it("leaves it as it was unless it is asked to", async () => {
  expect(await output("")).toMatch(/again \[ 16843009(, 0)? \]/);
});
