import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openTensorFile } from "@deplsr/nn";
import { bytesSource, readSafetensors, readTensor, type StoredTensor } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { runConvert } from "../../src/convert/run.ts";
import { golden } from "../golden.ts";
import { type RecordedOutput, recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

async function convert(
  from: string,
  to: string,
  flags: { key?: string; fp16?: boolean; overwrite?: boolean } = {},
): Promise<RecordedOutput> {
  const recorded = recordedOutput(true);
  const { key, fp16 = false, overwrite = false } = flags;
  await runConvert({ in: from, out: to, key, fp16, overwrite }, { output: recorded.output });
  return recorded;
}

async function tensorsOf(path: string): Promise<Map<string, StoredTensor>> {
  const { tensors } = await openTensorFile(bytesSource(readFileSync(path)));
  const entries = [...tensors].map(
    async ([name, one]): Promise<[string, StoredTensor]> => [name, await readTensor(one)],
  );
  return new Map(await Promise.all(entries));
}

/** The tensors that a checkpoint of the reference holds under a key. */
function expected(name: string, prefix: string): Map<string, StoredTensor> {
  const { tensors } = readSafetensors(readFileSync(golden(`checkpoints/${name}.expected.safetensors`)));
  const under = [...tensors].filter(([path]) => path.startsWith(prefix));
  return new Map(under.map(([path, tensor]) => [path.slice(prefix.length), tensor]));
}

const plain = (tensors: ReadonlyMap<string, StoredTensor>): [string, string, string][] =>
  [...tensors]
    .map(([name, { dtype, shape, bytes }]): [string, string, string] => [
      name,
      `${dtype}[${shape}]`,
      Buffer.from(bytes).toString("base64"),
    ])
    .sort();

const DAT = golden("checkpoints/dat_params_ema.pth");

describe("deplsr convert", () => {
  test("PyTorch to safetensors and back keeps every value, type and name", async () => {
    const folder = temporaryFolder();
    const [there, back] = [join(folder, "dat.safetensors"), join(folder, "dat.pth")];
    const { stdout, stderr } = await convert(DAT, there);
    expect(stderr()).toContain("weights: params_ema (params left out)");
    const bytes = readFileSync(there).length;
    expect(JSON.parse(stdout())).toEqual({
      ...{ in: DAT, out: there, weights: "params_ema", tensors: 210, bytes, ms: expect.any(Number) },
    });
    expect(readSafetensors(readFileSync(there)).metadata).toEqual({ format: "pt" });
    expect(plain(await tensorsOf(there))).toEqual(plain(expected("dat_params_ema", "params_ema/")));
    await convert(there, back);
    expect(plain(await tensorsOf(back))).toEqual(plain(expected("dat_params_ema", "params_ema/")));
    expect(readdirSync(folder).sort()).toEqual(["dat.pth", "dat.safetensors"]);
  });

  test("takes the weights that are asked for, without the prefix of parallel training", async () => {
    const folder = temporaryFolder();
    await convert(DAT, join(folder, "a.safetensors"), { key: "params" });
    expect(plain(await tensorsOf(join(folder, "a.safetensors")))).toEqual(plain(expected("dat_params_ema", "params/")));
    await convert(golden("checkpoints/openclip_epoch_3.pt"), join(folder, "b.safetensors"));
    expect(plain(await tensorsOf(join(folder, "b.safetensors")))).toEqual(
      plain(expected("openclip_epoch_3", "state_dict/module.")),
    );
  });

  test("--fp16 halves floats and leaves whole numbers", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "half.safetensors");
    await convert(DAT, path, { fp16: true });
    const halves = await tensorsOf(path);
    for (const [name, { dtype, toFloat32 }] of expected("dat_params_ema", "params_ema/")) {
      const half = halves.get(name)!;
      if (dtype !== "F32") expect(half.dtype).toBe(dtype);
      else {
        expect(half.dtype).toBe("F16");
        const values = half.toFloat32();
        toFloat32().forEach((value, i) => {
          expect(Math.abs(values[i]! - value)).toBeLessThanOrEqual(Math.max(2 ** -11 * Math.abs(value), 2 ** -25));
        });
      }
    }
    const { stderr } = await convert(golden("checkpoints/dtypes_views.pth"), join(folder, "views.pt"), { fp16: true });
    expect(stderr()).toContain("special_bf16: 1 value beyond the range of half precision");
  });

  test("reads a run's folder and carries the text of its header over", async () => {
    const folder = temporaryFolder();
    await convert(DAT, join(folder, "model.safetensors"));
    await convert(folder, join(folder, "again.safetensors"));
    expect(plain(await tensorsOf(join(folder, "again.safetensors")))).toEqual(
      plain(expected("dat_params_ema", "params_ema/")),
    );
  });

  test("replaces a file only when told to, and a file that is damaged leaves what was there", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "out.safetensors");
    writeFileSync(out, "mine");
    await expect(convert(DAT, out)).rejects.toThrow(`convert: ${out} exists: choose another name, or --overwrite`);
    const cut = join(folder, "cut.pth");
    const whole = readFileSync(golden("checkpoints/legacy_nonzip.pth"));
    writeFileSync(cut, whole.subarray(0, whole.length - 100));
    await expect(convert(cut, out, { overwrite: true })).rejects.toThrow("the file is cut off or damaged");
    // A storage whose local header is not there is met only when its tensor is read.
    const broken = Buffer.from(readFileSync(DAT));
    broken.fill(0, broken.indexOf("dat_params_ema/data/419") - 30, broken.indexOf("dat_params_ema/data/419"));
    writeFileSync(join(folder, "broken.pth"), broken);
    await expect(convert(join(folder, "broken.pth"), out, { overwrite: true })).rejects.toThrow("where it should be");
    expect(readFileSync(out, "utf8")).toBe("mine");
    expect(readdirSync(folder).sort()).toEqual(["broken.pth", "cut.pth", "out.safetensors"]);
    await convert(DAT, out, { overwrite: true });
    expect((await tensorsOf(out)).size).toBe(210);
  });

  test("says which formats there are", async () => {
    await expect(convert(DAT, "out.onnx")).rejects.toMatchObject({
      name: "UsageError",
      message: "out.onnx must end in .safetensors, .pth, .pt or .bin: its name says in which format it is written",
    });
  });
});
