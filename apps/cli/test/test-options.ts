/**
 * An option file of `deplsr test` in the original's form: a small network, and what comes with the command.
 * @param datasets the sets, a line each, as `datasets` has them
 * @param metrics more than PSNR, a line each
 * @param more lines at the end
 */
export function testOptions(
  datasets: readonly string[],
  { metrics = [], more = "" }: { readonly metrics?: readonly string[]; readonly more?: string } = {},
): string {
  const indented = (lines: readonly string[], by: number): string =>
    lines.map((line) => `${" ".repeat(by)}${line}\n`).join("");
  return `name: small
model_type: RealDATModel
scale: 2
num_gpu: 1
datasets:
${indented(datasets, 2)}network_g:
  { type: RealDAT, upscale: 2, img_size: 48, split_size: [8, 16], depth: [6], embed_dim: 48, num_heads: [4], expansion_factor: 2,
    global_residual: bicubic, upsampler: pixelshuffledirect, fusion_num_heads: 4, drop_path_rate: 0 }
network_clip: { type: srclipv2_small, clip_fit: crop }
path: { pretrain_network_g: realdat-x2, srclip_pretrain_network: srclip, strict_load_g: true }
val:
  save_img: true
  suffix: ~
  use_chop: true
  metrics:
    psnr: { type: calculate_psnr, crop_border: 2, test_y_channel: true }
${indented(metrics, 4)}${more}`;
}

/** That of one set, whose pairs lie in `photos` and `small`. */
export const TEST_OPTIONS = testOptions([
  "test_1: { name: A, type: PairedImageDataset, dataroot_gt: photos, dataroot_lq: small, io_backend: { type: disk } }",
]);
