/** Fixtures without the fields that nothing is computed from: they have to pass all the same. */
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { compareFolder } from "../src/session.ts";

const GOLDEN = new URL("../../../shared/golden/", import.meta.url);

/** A fixture, and the paths in its configuration that are left out; `*` is every field or entry. */
const CASES: readonly (readonly [file: string, ...fields: string[]])[] = [
  ["checkpoints/bare_tensor.expected.safetensors", "op", "original_dtypes"],
  ["clip/clip_quickgelu.safetensors", "seed", "batch", "params"],
  ["clip/preprocess_0.safetensors", "interpolation", "source"],
  ["clip/resize_pos_embed_0.safetensors", "old_grid", "width"],
  ["clip/tokenizer.json", "description", "compare", "tolerance", "cases.*.needs_ftfy", "cases.*.ids_without_ftfy"],
  ["dat/dat_w2x4_d3_ps3_3conv.safetensors", "seed", "batch", "height", "width", "params"],
  [
    "degradation/pipeline_srclip_gaussian_sinc.safetensors",
    ...["blur_sigma", "kernel_size", "theta", "noise", "noise_sigma", "noise_scale", "quality", "final_sinc"],
    ...["lq_size", "caption", "min_tie_distance", "stages.*.align_corners"],
  ],
  ["degradation/usm.safetensors", "sigma", "kernel", "min_tie_distance"],
  ["metrics/niqe.safetensors", "min_tie_distance", "deviation_float32_params_and_float64_image"],
  ["metrics/psnr_ssim.safetensors", "psnr_identical"],
  ["metrics_learned/cnniqa_small.safetensors", "weights_check", "cases.*.*"],
  ["metrics_learned/fid_pipeline.safetensors", "scipy_sqrtm_fid", "resize_cases.*.*", "sets.*.*.size"],
  ["metrics_learned/frechet.safetensors", "cases.*.*"],
  ["metrics_learned/inception_small.safetensors", "input", "cases.*.*"],
  ["metrics_learned/lpips_alex.safetensors", "version", "cases.*.*"],
  ["metrics_learned/maniqa_small.safetensors", "arch.num_outputs", "arch.img_size", "arch.patch_size", "vit.depth"],
  ["metrics_learned/musiq_small.safetensors", "arch.num_scales", "arch.max_seq_len_from_original_res"],
  ["ops/conv.safetensors", "*.kernel"],
  ["ops/interpolate.safetensors", "*.align_corners"],
  ["ops/norm.safetensors", "batchnorm_eval.momentum"],
  ["optim/clip_grad_norm.safetensors", "formula"],
  ["optim/schedules.safetensors", "*.value", "const_lr.total"],
  ["srclip/losses.safetensors", "seed", "batch", "degradations", "dim"],
  ["srclip/srclipv2_quickgelu_initial_controller.safetensors", "changed_zero_modules", "not_copied"],
];

it.each(CASES)("%s", async (file, ...fields) => {
  const lines: string[] = [];
  const folder = {
    name: "golden",
    files: [file],
    read: async (path: string) => {
      const bytes = await readFile(new URL(path, GOLDEN));
      if (path !== file) return bytes;
      return path.endsWith(".json") ? encode(without(parse(bytes), fields)) : withoutFields(bytes, fields);
    },
    decode: () => expect.fail("no picture is compared"),
  };
  const code = await compareFolder(folder, { backend: "cpu" }, (line) => void lines.push(line));
  expect(lines.filter((line) => line.startsWith("FAIL"))).toEqual([]);
  expect(code).toBe(0);
});

/** A safetensors file whose metadata's configuration lacks the fields, and which says nothing else that nothing is computed from. */
function withoutFields(bytes: Uint8Array, fields: readonly string[]): Uint8Array {
  const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = parse(bytes.subarray(8, 8 + size)) as Record<string, Record<string, string>>;
  const { group, config, roles, tolerance } = header.__metadata__!;
  const left = JSON.stringify(without(JSON.parse(config!), fields));
  const text = encode({ ...header, __metadata__: { group, config: left, roles, tolerance } });
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, BigInt(text.length), true);
  return Buffer.concat([start, text, bytes.subarray(8 + size)]);
}

function without(config: object, fields: readonly string[]): object {
  for (const field of fields) expect(remove(config, field.split(".")), field).toBe(true);
  return config;
}

/** Deletes a field. @returns whether it was there */
function remove(value: unknown, [name = "", ...rest]: readonly string[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Record<string, unknown>;
  const names = name === "*" ? Object.keys(fields) : Object.hasOwn(fields, name) ? [name] : [];
  const removed = names.map((one) => (rest.length > 0 ? remove(fields[one], rest) : delete fields[one]));
  return removed.includes(true);
}

function parse(bytes: Uint8Array): object {
  return JSON.parse(new TextDecoder().decode(bytes));
}

function encode(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
