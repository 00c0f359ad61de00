/** What `deplsr upscale` can be asked for. */
import type { DeviceFlags } from "../commands/command.ts";
import { isImageName, LARGEST_SIDE } from "../data/image.ts";
import { UsageError } from "../errors.ts";
import { checkWhole } from "../flags.ts";
import type { OutputFormat } from "../photo/output-format.ts";

/** The flags of `deplsr upscale`. */
export interface UpscaleFlags extends DeviceFlags {
  readonly images: string[];
  readonly model: string | undefined;
  readonly key: string | undefined;
  readonly "allow-missing": boolean;
  readonly assume: string[];
  readonly srclip: string | undefined;
  readonly "clip-input": "normalized" | "raw" | undefined;
  readonly "clip-fit": "squash" | "crop" | undefined;
  readonly out: string;
  readonly recursive: boolean;
  readonly format: OutputFormat | "same" | undefined;
  readonly quality: number | undefined;
  readonly suffix: string;
  readonly strip: boolean;
  readonly overwrite: boolean;
  readonly scale: number | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly strength: number;
  readonly colour: "keep" | "free" | undefined;
  readonly ensemble: boolean;
  readonly tile: string;
  readonly blend: "cosine" | "reference";
}

/** @throws UsageError naming the flag that does not fit */
export function checkFlags(flags: UpscaleFlags): void {
  const { tile, scale, width, height, strength, quality, suffix } = flags;
  if (tile !== "auto") checkWhole("tile", Number(tile), 16, LARGEST_SIDE);
  checkWhole("width", width, 1);
  checkWhole("height", height, 1);
  checkWhole("quality", quality, 1, 100);
  if (scale !== undefined && !(scale > 0 && scale <= 64))
    throw new UsageError(`--scale ${scale} must be a number above 0, at most 64`);
  if (scale !== undefined && (width !== undefined || height !== undefined))
    throw new UsageError("--scale beside --width or --height: give either");
  if (!(strength >= 0 && strength <= 1)) throw new UsageError(`--strength ${strength} must be a number from 0 to 1`);
  if (quality !== undefined && /\.(png|tiff?)$/i.test(isImageName(flags.out) ? flags.out : `.${flags.format ?? "png"}`))
    throw new UsageError(
      "--quality means nothing to PNG and TIFF, which lose nothing: give --format jpeg, webp or avif",
    );
  if (/[\\/]/.test(suffix)) throw new UsageError(`--suffix ${suffix} must not hold a slash: --out says the folder`);
  if (flags.format !== undefined && isImageName(flags.out))
    throw new UsageError(`--format ${flags.format} beside --out ${flags.out}, whose name says the format: give either`);
  if (flags.out === "-" && flags.format === "same") throw new UsageError("--format same has no meaning for --out -");
}
