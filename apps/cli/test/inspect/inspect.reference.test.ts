import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CLIP_PRESETS, clipShapes } from "@deplsr/clip";
import { DAT_S_X4, datState } from "@deplsr/dat";
import { REALDAT_LIGHT_X2, realDATParameterCount, realDATState } from "@deplsr/srclip";
import { readSafetensors, safetensorsHeader, storedEntry, writeSafetensors } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { runInspect } from "../../src/inspect/run.ts";
import { golden } from "../golden.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

async function inspected(file: string, key?: string): Promise<Record<string, unknown>> {
  const { output, stdout } = recordedOutput(true);
  await runInspect({ file, key }, { output });
  return JSON.parse(stdout());
}

/** A file of zeros, which takes no room on the disk. */
function fileOf(shapes: Iterable<readonly [string, readonly number[]]>): string {
  const path = join(temporaryFolder(), "weights.safetensors");
  const entries = Array.from(shapes, ([name, shape]) => [name, { dtype: "F16" as const, shape }] as const);
  const { header, dataBytes } = safetensorsHeader(entries);
  writeFileSync(path, header);
  truncateSync(path, header.length + dataBytes);
  return path;
}

describe("deplsr inspect", () => {
  test("tells network, configuration and every tensor of a DAT", async () => {
    const path = golden("checkpoints/dat_params_ema.pth");
    const expected = readSafetensors(readFileSync(golden("checkpoints/dat_params_ema.expected.safetensors"))).tensors;
    const { tensors, ...rest } = await inspected(path);
    const config = { imgSize: 8, embedDim: 32, depth: [3], numHeads: [2], splitSize: [2, 4], expansionFactor: 1.5 };
    expect(rest).toMatchObject({
      model: "DAT",
      config: { ...config, upscale: 2, upsampler: "pixelshuffledirect", resiConnection: "3conv" },
      format: "PyTorch zip",
      weights: "params_ema",
      parameters: 37_337,
      assumed: { splitSize: [2, 4], imgRange: 1, qkScale: null, layerNormEps: 1e-5, globalResidual: "none" },
    });
    const found = (tensors as { name: string; shape: number[] }[]).map(({ name, shape }) => [name, shape]);
    expect(Object.fromEntries(found)).toEqual(
      Object.fromEntries([...expected].map(([name, { shape }]) => [name, shape])),
    );
    expect(await inspected(path, "params")).toMatchObject({ weights: "params", model: "DAT" });
  });

  test("knows published networks of any size by their shapes alone", async () => {
    const shapesOf = (state: readonly { name: string; shape: readonly number[] }[]) =>
      state.map(({ name, shape }) => [name, shape] as const);
    expect(await inspected(fileOf(shapesOf(datState(DAT_S_X4))))).toMatchObject({
      model: "DAT",
      config: { ...DAT_S_X4 },
    });
    const realDat = REALDAT_LIGHT_X2;
    expect(await inspected(fileOf(shapesOf(realDATState(realDat))))).toMatchObject({
      model: "RealDAT",
      config: { ...realDat },
      parameters: realDATParameterCount(realDat),
    });
    const clip = CLIP_PRESETS.get("ViT-B-32")!;
    expect(await inspected(fileOf(clipShapes(clip)))).toMatchObject({
      model: "CLIP",
      config: clip,
      parameters: 151_277_313,
      tensors: expect.arrayContaining([{ name: "visual.proj", shape: [768, 512], dtype: "F16" }]),
    });
  });

  test("tells people the same, and what else is in the file", async () => {
    const { output, stdout } = recordedOutput();
    await runInspect({ file: golden("checkpoints/openclip_epoch_3.pt"), key: undefined }, { output });
    const lines = stdout().split("\n");
    expect(lines[1]).toBe("weights     state_dict (also there: optimizer)");
    expect(lines[2]).toBe("network     CLIP, image tower 1 block of 32, patches of 8 in 16x16");
    expect(lines[4]).toBe("assumed     quickGelu=false, vision.headWidth=32, text.heads=1: tensors do not tell");
    expect(lines[5]).toBe("parameters  24465");
    expect(lines[6]).toContain("values      epoch 3, name tiny_run, ");
    expect(stdout()).toMatch(/^state_dict\/module\.visual\.proj +\[32, 16\] +F32$/m);
    const dat = recordedOutput();
    await runInspect({ file: golden("checkpoints/dat_params_ema.pth"), key: undefined }, { output: dat.output });
    expect(dat.stdout()).toContain(
      'assumed     splitSize=[2,4], imgRange=1, qkScale=null, layerNormEps=0.00001, globalResidual="none": tensors do not tell; ' +
        "deplsr upscale takes others with --assume\n",
    );
    const script = recordedOutput();
    await runInspect(
      { file: golden("metrics_learned/clip_torchscript.pt"), key: undefined },
      { output: script.output },
    );
    expect(script.stdout()).toMatch(/^visual\.conv1\.weight +\[/m);
    expect(script.stdout()).not.toContain("training");
  });

  test("of an unknown network it tells what there is, and of a nearly known one what is wrong", async () => {
    expect(await inspected(golden("checkpoints/dtypes_views.pth"))).toMatchObject({ model: null, config: null });
    const shapes = new Map(datState(DAT_S_X4).map(({ name, shape }) => [name, shape]));
    shapes.delete("conv_last.bias");
    const { output, stdout, stderr } = recordedOutput(true);
    await runInspect({ file: fileOf(shapes), key: undefined }, { output });
    expect(JSON.parse(stdout()).model).toBeNull();
    expect(stderr()).toContain("the tensors do not fit together: missing: conv_last.bias [3]");
    const more = recordedOutput(true);
    const file = fileOf([...datState(DAT_S_X4).map(({ name, shape }) => [name, shape] as const), ["extra", [3]]]);
    await runInspect({ file, key: undefined }, { output: more.output });
    expect(JSON.parse(more.stdout()).model).toBeNull();
    expect(more.stderr()).toContain(`warning: ${file}: nearly a DAT x4, but there are tensors of other names\n`);
  });

  test("control characters of names do not reach the terminal", async () => {
    const folder = temporaryFolder();
    const name = "\u001b[2Jweight\n";
    const entry = storedEntry(Float32Array.of(1), [1]);
    writeFileSync(join(folder, "a.safetensors"), writeSafetensors([[name, entry]], { note: "\u001b]0;x\u0007" }));
    const { output, stdout } = recordedOutput();
    await runInspect({ file: join(folder, "a.safetensors"), key: undefined }, { output });
    expect(stdout()).toContain("\\u001b[2Jweight\\u000a");
    expect(stdout()).toContain("metadata    note: \\u001b]0;x\\u0007");
    expect(stdout()).not.toContain("\u001b");
    expect(await inspected(join(folder, "a.safetensors"))).toMatchObject({ tensors: [{ name }], parameters: 1 });
  });

  test("what cannot be read ends in one line", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "page.pth"), "<!DOCTYPE html>");
    writeFileSync(join(folder, "cut.pth"), readFileSync(golden("checkpoints/dat_params_ema.pth")).subarray(0, 99_999));
    const bad: [file: string, message: string][] = [
      [golden("checkpoints/malicious_os_system.pth"), 'cannot be read: pickle: asks for "posix.system"'],
      [join(folder, "none.pth"), "none.pth does not exist: check the path"],
      [join(folder, "page.pth"), "page.pth cannot be read: this is a web page, not weights"],
      [join(folder, "cut.pth"), "cut.pth cannot be read: zip: the record that ends an archive is missing"],
      [folder, "is neither a run folder nor a checkpoint folder"],
    ];
    for (const [file, message] of bad) {
      const error = await inspected(file).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ name: "UserError", message: expect.stringContaining(message) });
      expect((error as Error).message).not.toContain("\n");
    }
    await expect(inspected(golden("checkpoints/dat_params_ema.pth"), "net_g")).rejects.toThrow(
      'dat_params_ema.pth cannot be read: weights: there are none under "net_g"; tensors are under "params", "params_ema"',
    );
  });
});
