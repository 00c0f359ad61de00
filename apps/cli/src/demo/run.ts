import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ShippedModel, shippedModel } from "@deplsr/models";
import type { Device } from "@deplsr/tensor";
import type { Context, DeviceFlags } from "../commands/command.ts";
import { crop } from "../data/crop.ts";
import { stem } from "../data/folder.ts";
import { type Image, readImage, writeImage } from "../data/image.ts";
import { withDevice } from "../device.ts";
import { printEvaluation } from "../evaluate/report.ts";
import { checkWhole } from "../flags.ts";
import { type Output, table } from "../output.ts";
import { duration } from "../progress.ts";
import { upscaleImage } from "../upscale/upscale.ts";
import { type DemoResult, runDemo, writeReport } from "./demo.ts";
import { demoPhotos } from "./photos.ts";
import { PLACES } from "./recipe.ts";
import { demoReport, type UserPhoto } from "./report.ts";

/** The flags of `deplsr demo`. */
export interface DemoFlags extends DeviceFlags {
  readonly photo: string | undefined;
  readonly out: string;
  readonly steps: number | undefined;
  readonly seed: number;
}

/** How much the two trainings see: squares of each photograph, and steps. */
interface Amount {
  readonly squares: number;
  readonly srclip: number;
  readonly sr: number;
}

/** What takes a minute and a half or less on the CPU backend with two cores, and far less on a GPU. */
const AMOUNT: Amount = { squares: 256, srclip: 1100, sr: 300 };

/** On software WebGPU adapters, which are several times slower: what takes under two minutes on lavapipe, under six on SwiftShader. */
const SOFTWARE_AMOUNTS: Readonly<Record<string, Amount>> = {
  system: { squares: 96, srclip: 150, sr: 40 },
  swiftshader: { squares: 96, srclip: 160, sr: 70 },
};

/** The user's photograph is enlarged whole when that takes at most this long, else a part of it is. */
const PHOTO_SECONDS = 40;

/** Does what `deplsr demo` asks for. */
export async function runDemoCommand(flags: DemoFlags, context: Context): Promise<void> {
  const { output } = context;
  checkWhole("steps", flags.steps, 1);
  checkWhole("seed", flags.seed, 0);
  const photos = demoPhotos();
  // A photograph that cannot be read should be known now, not after the trainings.
  const photo = flags.photo === undefined ? null : await readImage(flags.photo);
  await withDevice(flags, context, async (device) => {
    const started = performance.now();
    const amount = SOFTWARE_AMOUNTS[device.info.kind] ?? AMOUNT;
    const result = await runDemo(device, {
      photos,
      folder: flags.out,
      squares: amount.squares,
      srclipSteps: flags.steps ?? amount.srclip,
      srSteps: flags.steps ?? amount.sr,
      shipped: shippedNetwork(),
      seed: flags.seed,
      output,
    });
    const enlarged =
      photo === null ? null : await enlargePhoto(device, result, { photo, path: flags.photo!, out: flags.out, output });
    const html = await demoReport(device, result, join(flags.out, PLACES.heldOut), enlarged?.shown ?? null);
    const report = await writeReport(flags.out, html);
    const seconds = (performance.now() - started) / 1000;
    printSummary(result, output);
    output.line(`\ndone in ${duration(seconds)} on ${device.info.adapter}`);
    output.line(`picture: ${join(flags.out, PLACES.comparison)}`);
    output.line(`report:  ${report}`);
    output.result(
      summary(result, { seconds, report, out: flags.out, adapter: device.info.adapter, photo: enlarged?.image }),
    );
  });
}

/** The network that comes with the command; null where its file of weights is not there. */
function shippedNetwork(): ShippedModel | null {
  const model = shippedModel("realdat-x2")!;
  return existsSync(fileURLToPath(model.weights)) ? model : null;
}

interface EnlargedImage {
  readonly in: string;
  readonly out: string;
  readonly width: number;
  readonly height: number;
  readonly ms: number;
}

async function enlargePhoto(
  device: Device,
  { upscaler, comparisons }: DemoResult,
  { photo, path, out, output }: { photo: Image; path: string; out: string; output: Output },
): Promise<{ image: EnlargedImage; shown: UserPhoto }> {
  const { lq, enlarged } = comparisons[0]!;
  const { ms } = enlarged[1];
  const pixels = (lq.width * lq.height * PHOTO_SECONDS * 1000) / ms;
  const share = Math.min(1, Math.sqrt(pixels / (photo.width * photo.height)));
  const before = share === 1 ? photo : middle(photo, share);
  const whole = (photo.width * photo.height * ms) / (lq.width * lq.height) / 1000;
  const file = join(out, `${stem(path)}_x${upscaler.network.scale}.png`);
  const note =
    share === 1
      ? `${path}, whole.`
      : `The middle of ${path}: all of it would take about ${duration(whole)} here, with \`npx deplsr upscale ${path}\`.`;
  output.line(`\nEnlarging your photograph. ${note}`);
  const started = performance.now();
  const bar = output.progress("upscale", 1, "tile");
  const after = await upscaleImage(device, upscaler, before, {
    colour: "keep",
    onTile: (done, total) => bar.retarget(total).update(done),
  });
  bar.finish();
  await writeImage(file, after);
  const image = {
    in: path,
    out: file,
    width: after.width,
    height: after.height,
    ms: Math.round(performance.now() - started),
  };
  output.line(`  ${file}, ${after.width}x${after.height}`);
  return { image, shown: { name: path, before, after, note } };
}

function middle(photo: Image, share: number): Image {
  const width = Math.max(1, Math.floor(photo.width * share));
  const height = Math.max(1, Math.floor(photo.height * share));
  const left = Math.floor((photo.width - width) / 2);
  const top = Math.floor((photo.height - height) / 2);
  return crop(photo, { left, top, width, height });
}

function printSummary({ srclip, sr, evaluation, comparisons }: DemoResult, output: Output): void {
  const change = (name: string, { first, last }: DemoResult["sr"], key: string): string[] => [
    name,
    first[key]!.toFixed(4),
    last[key]!.toFixed(4),
  ];
  output.line();
  const losses = [
    change("SRCLIP, content", srclip, "contrastive_loss"),
    change("SRCLIP, degradation", srclip, "degra_loss"),
    change("SRCLIP, fine degradations", srclip, "fine_degra_loss"),
    change("RealDAT, L1", sr, "l_pix"),
  ];
  for (const line of table(["loss (means of a tenth)", "first", "last"], losses)) output.line(line);
  output.line();
  printEvaluation(evaluation, output, { ranks: false, confusion: false });
  output.line();
  const rows = comparisons.flatMap(({ name, enlarged }) =>
    enlarged.map(({ by, quality }) => [`${name}, ${by}`, quality.psnr.toFixed(2), quality.ssim.toFixed(4)]),
  );
  for (const line of table(["enlarged x2", "PSNR-Y", "SSIM-Y"], rows)) output.line(line);
}

interface SummaryFacts {
  readonly seconds: number;
  readonly report: string;
  readonly out: string;
  readonly adapter: string;
  readonly photo: EnlargedImage | undefined;
}

function summary(result: DemoResult, { seconds, report, out, adapter, photo }: SummaryFacts): Record<string, unknown> {
  const { data, srclip, sr, evaluation, comparisons } = result;
  const { answers: _, ...measured } = evaluation;
  const part = ({ metrics, ...rest }: DemoResult["sr"]): Omit<DemoResult["sr"], "metrics"> => rest;
  return {
    adapter,
    degrade: {
      images: data.training.records.length,
      heldOut: data.heldOut.records.length,
      pairs: data.pairs,
      tsv: join(out, PLACES.training),
    },
    train: { srclip: part(srclip), sr: part(sr) },
    evaluate: measured,
    upscale: {
      images: [
        ...comparisons.map(({ name, gt, enlarged }) => ({
          in: name,
          out: join(out, PLACES.comparison),
          width: gt.width,
          height: gt.height,
          ms: Math.round(enlarged[1].ms),
          ...Object.fromEntries(enlarged.map(({ by, quality }) => [by, quality])),
        })),
        ...(photo ? [photo] : []),
      ],
    },
    seconds: { ...result.seconds, total: seconds },
    report,
  };
}
