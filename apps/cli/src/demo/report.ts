/** The demo's report page. */
import type { Device } from "@deplsr/tensor";
import { readCaptioned } from "../data/captioned.ts";
import { encodeImage, type Image, readImage } from "../data/image.ts";
import { counted } from "../output.ts";
import { duration } from "../progress.ts";
import { lineChart, type Series } from "../report/chart.ts";
import { figure, type Html, htmlTable, page, paragraph, row, section } from "../report/html.ts";
import type { StepMetrics } from "../train/loop.ts";
import { comparisonPicture, type DemoResult } from "./demo.ts";

/** A photograph of the user's that was enlarged. */
export interface UserPhoto {
  readonly name: string;
  readonly before: Image;
  readonly after: Image;
  readonly note: string;
}

/** How many degraded squares are shown. */
const SHOWN = 8;

/** The page as one HTML file. @param heldOut the TSV whose first squares are shown */
export async function demoReport(
  device: Device,
  result: DemoResult,
  heldOut: string,
  photo: UserPhoto | null,
): Promise<string> {
  const { srclip, sr, evaluation, comparisons, seconds } = result;
  const total = Object.values(seconds).reduce((sum, value) => sum + value, 0);
  const percent = (share: number | undefined): string => `${(100 * (share ?? 0)).toFixed(1)} %`;
  const ways = comparisons[0]!.enlarged.map(({ by }) => by);
  const pictures = await Promise.all(
    comparisons.map(async (comparison) => {
      const picture = comparisonPicture(comparison);
      const caption = `${comparison.name}: ${[...ways, "original"].join(", ")}`;
      return figure(await encodeImage(picture, "p.png"), caption, picture.width);
    }),
  );
  return page(
    "DePLSR: the demo",
    paragraph(
      `Degradation-prompted super-resolution, trained from nothing on crops of eight photographs and asked about two others. It ran on ${device.info.adapter} in ${duration(total)}.`,
    ),
    section(
      "Before and after",
      ...pictures,
      htmlTable(
        ["photograph (not seen in training)", ...ways.map((by) => `PSNR ${by}`), ...ways.map((by) => `SSIM ${by}`)],
        comparisons.map(({ name, enlarged }) => [
          name,
          ...enlarged.map(({ quality }) => `${quality.psnr.toFixed(2)} dB`),
          ...enlarged.map(({ quality }) => quality.ssim.toFixed(4)),
        ]),
      ),
      paragraph(
        `Measured on luma, a border of two pixels left out. Higher is better in all columns. Ours is the network that was trained here${ways.length > 2 ? `; ${ways[2]} comes with the package, trained for long on other photographs` : ""}.`,
      ),
    ),
    ...(photo === null ? [] : [await photoSection(photo)]),
    section(
      "Recognising degradations",
      paragraph(
        `SRCLIP picks the text nearest to each of ${evaluation.images} degraded squares. Chance is what guessing reaches, the last column what always giving the commonest answer reaches.`,
      ),
      htmlTable(
        ["degradation", "accuracy", "chance", "best constant answer"],
        Object.keys(evaluation.accuracy).map((name) => [
          name,
          percent(evaluation.accuracy[name]),
          percent(evaluation.chance[name]),
          percent(evaluation.constant[name]),
        ]),
      ),
      ...(await squares(heldOut)),
    ),
    section(
      "Losses",
      row(
        lineChart("SRCLIP: the three losses", "step", [
          series("content", "contrastive_loss", srclip.metrics),
          series("degradation", "degra_loss", srclip.metrics),
          series("fine", "fine_degra_loss", srclip.metrics),
        ]),
        lineChart("RealDAT: L1", "step", [series("l_pix", "l_pix", sr.metrics)]),
      ),
      paragraph(
        `SRCLIP: ${srclip.parameters} parameters, ${counted(srclip.steps, "step")}. RealDAT: ${sr.parameters} parameters, ${counted(sr.steps, "step")}.`,
      ),
    ),
    section(
      "Time",
      htmlTable(
        ["phase", "seconds"],
        Object.entries(seconds).map(([name, value]) => [name, value.toFixed(1)]),
      ),
    ),
  );
}

function series(name: string, key: string, metrics: readonly StepMetrics[]): Series {
  return { name, x: metrics.map(({ step }) => step), y: metrics.map(({ values }) => values[key]!) };
}

async function squares(heldOut: string): Promise<Html[]> {
  const { items } = await readCaptioned(heldOut);
  const shown = items.filter((_, i) => i % Math.ceil(items.length / SHOWN) === 0);
  const figures = await Promise.all(
    shown.map(async ({ path, texts }) => figure(await encodeImage(await readImage(path), "p.png"), texts[1]!, 128)),
  );
  return [row(...figures)];
}

async function photoSection({ name, before, after, note }: UserPhoto): Promise<Html> {
  return section(
    `Your photograph: ${name}`,
    paragraph(note),
    figure(await encodeImage(before, "p.png"), `before, ${before.width}x${before.height}`, after.width),
    figure(await encodeImage(after, "p.png"), `after, ${after.width}x${after.height}`, after.width),
  );
}
