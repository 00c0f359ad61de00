import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSafetensors } from "@deplsr/tensor";
import { expect, test } from "vitest";
import { runConvert } from "../../src/convert/run.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT, writeRandomNetwork } from "../tiny-network.ts";

test("values that are no numbers are written as they are, and named in one line", async () => {
  const folder = temporaryFolder();
  const [from, to] = [join(folder, "a.safetensors"), join(folder, "b.safetensors")];
  await writeRandomNetwork(from, TINY_DAT);
  const convert = async (fp16: boolean): Promise<string> => {
    const { output, stderr } = recordedOutput();
    await runConvert({ in: from, out: to, key: undefined, fp16, overwrite: true }, { output });
    return stderr();
  };
  expect(await convert(false)).not.toContain("warning");
  const bytes = readFileSync(from);
  const { tensors } = readSafetensors(bytes);
  for (const name of ["conv_first.bias", "norm.weight"]) {
    const stored = tensors.get(name)!.bytes;
    new DataView(stored.buffer, stored.byteOffset).setFloat32(4, name === "norm.weight" ? Infinity : Number.NaN, true);
  }
  writeFileSync(from, bytes);
  const warning = /^warning: \S+a\.safetensors: 2 tensors hold values that are no numbers: (.+): written as they are/m;
  for (const fp16 of [false, true]) {
    const names = warning
      .exec(await convert(fp16))![1]!
      .split(", ")
      .sort();
    expect(names).toEqual(["conv_first.bias", "norm.weight"]);
  }
  const written = readSafetensors(readFileSync(to)).tensors;
  expect(written.get("conv_first.bias")!.toFloat32()[1]).toBeNaN();
  expect(written.get("norm.weight")!.toFloat32()[1]).toBe(Infinity);
});
