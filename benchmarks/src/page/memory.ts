/** The memory of the browser while the page enlarges 24 megapixels to 96, with a stand-in for the network, so that it takes a minute. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import sharp from "sharp";
import type { Plugin } from "vite";
import { deviceLine, doneLine, serveSite } from "../../../apps/web/test/site.ts";
import { build, watchedPage } from "./browser.ts";
import { type MemoryByKind, memoryBelow } from "./processes.ts";

/** What happens. */
export type Phase = "open" | "reading" | "enlarging" | "done" | "writing the PNG" | "written" | "taken out";

/** One look at the memory, in MiB. */
export interface Sample extends MemoryByKind {
  /** Seconds from the choice of the photo. */
  readonly at: number;
  readonly phase: Phase;
}

/** What was seen. */
export interface MemoryCurve {
  readonly photo: readonly [width: number, height: number];
  readonly result: readonly [width: number, height: number];
  readonly resultBytes: number;
  readonly pngBytes: number;
  readonly samples: readonly Sample[];
}

const [WIDTH, HEIGHT] = [6000, 4000];
/** ms between two looks. */
const PERIOD = 250;
const PATIENCE = 15 * 60_000;

/** Builds the page with the stand-in, and looks at the browser while it works. */
export async function memoryCurve(browser: Browser, photograph: string): Promise<MemoryCurve> {
  const folder = await mkdtemp(join(tmpdir(), "deplsr-memory-"));
  await build(folder, { plugins: [standIn()] });
  const site = await serveSite(folder);
  const context = await browser.newContext({ acceptDownloads: true });
  context.setDefaultTimeout(PATIENCE);
  const photo = join(folder, "large.jpg");
  await sharp(photograph).resize(WIDTH, HEIGHT, { fit: "fill" }).jpeg({ quality: 92 }).toFile(photo);
  const samples: Sample[] = [];
  let phase: Phase = "open";
  let started = performance.now();
  const look = (): void => void samples.push({ at: (performance.now() - started) / 1000, phase, ...memoryBelow() });
  const timer = setInterval(look, PERIOD);
  try {
    const page = await watchedPage(context, site.url);
    await page.evaluate(() => localStorage.setItem("deplsr-settings", '{"backend":"wasm"}'));
    await page.reload();
    await deviceLine(page).waitFor();
    await page.waitForTimeout(2000);
    started = performance.now();
    phase = "reading";
    await page.getByLabel("Photo files").first().setInputFiles(photo);
    await page.getByRole("progressbar", { name: "Enlarging" }).waitFor();
    phase = "enlarging";
    await doneLine(page).waitFor();
    phase = "done";
    await page.waitForTimeout(3000);
    phase = "writing the PNG";
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download", exact: true }).click();
    const file = await (await download).path();
    phase = "written";
    await page.waitForTimeout(3000);
    const { width, height } = await sharp(file, { limitInputPixels: false }).metadata();
    const { size } = await stat(file);
    phase = "taken out";
    await page.getByRole("button", { name: "Take out large.jpg" }).click();
    await page.waitForTimeout(10_000);
    return {
      photo: [WIDTH, HEIGHT],
      result: [width ?? 0, height ?? 0],
      resultBytes: (width ?? 0) * (height ?? 0) * 3,
      pngBytes: size,
      samples,
    };
  } finally {
    clearInterval(timer);
    await context.close();
    await site.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Puts the stand-in into the engine. */
function standIn(): Plugin {
  const file = fileURLToPath(new URL("stand-in-models.ts", import.meta.url));
  return {
    name: "stand-in",
    enforce: "pre",
    resolveId: (id, importer) => (id === "./models.ts" && importer?.endsWith("/engine/bench.ts") ? file : null),
  };
}
