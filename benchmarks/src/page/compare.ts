/** One megapixel by the page and by UpscalerJS's default model, in the same browser: time, freezes, seams, opacity. */
import { readFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import sharp from "sharp";
import { decodeImage } from "../../../apps/cli/src/data/image.ts";
import { deviceLine, doneLine, type FileToChoose, type Site } from "../../../apps/web/test/site.ts";
import { build, type Freeze, forgetFreeze, freezeOf, watchedPage } from "./browser.ts";
import { type SeamLines, seamLines } from "./lines.ts";
import type { OurResult, OurTask } from "./our-page.ts";
import type { PeerResult, PeerTask } from "./peer-page.ts";

/** What was found of one way to enlarge. */
export interface Contestant {
  readonly name: string;
  /** What it computed on. */
  readonly device: string;
  /** Seconds from pixels to pixels; null where it failed. */
  readonly seconds: number | null;
  readonly freeze: Freeze | null;
  /** Null where everything is enlarged whole. */
  readonly seams: SeamLines | null;
  /** Whether a half-transparent photo's result has its opacity. */
  readonly opacity: boolean | null;
  /** How it failed, in a line. */
  readonly failed: string | null;
}

/** Patches as UpscalerJS's guide has them, https://upscalerjs.com/documentation/guides/browser/usage/patch-sizes */
const GUIDE = { size: 64, padding: 2 } as const;

/** Pixels of a side of the square that seams are looked for in, and of our tiles there. */
const [SEAM_SIDE, TILE] = [288, 96];

/** The longest that anything may take, in ms. */
const PATIENCE = 6 * 60_000;

/** What is enlarged. */
export interface Photos {
  /** JPEG of one megapixel. */
  readonly megapixel: Buffer;
  /** PNG of its middle. */
  readonly square: Buffer;
  /** PNG that is half transparent. */
  readonly clear: Buffer;
}

/** Cuts one photo for all. */
export async function cutPhotos(path: string): Promise<Photos> {
  const { width = 0, height = 0 } = await sharp(path).metadata();
  const columns = Math.min(width, Math.floor(1e6 / height));
  if (columns * height < 0.9e6)
    throw new Error(`${path} has ${width}x${height} pixels: take a photo of a megapixel or more`);
  const middle = (w: number, h: number) =>
    sharp(path)
      .extract({ left: (width - w) >> 1, top: (height - h) >> 1, width: w, height: h })
      .removeAlpha();
  return {
    megapixel: await middle(columns, height).jpeg({ quality: 92 }).toBuffer(),
    square: await middle(SEAM_SIDE, SEAM_SIDE).png().toBuffer(),
    clear: await middle(64, 64).ensureAlpha(0.5).png().toBuffer(),
  };
}

/** What a page of UpscalerJS loads, in this order, and what its backend and its network are read from. */
const SCRIPTS = [
  "@tensorflow/tfjs/dist/tf.min.js",
  "@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js",
  "@upscalerjs/default-model/dist/umd/index.min.js",
  "upscaler/dist/browser/umd/upscaler.min.js",
];
const FOLDERS = ["@tensorflow/tfjs-backend-wasm/wasm-out", "@upscalerjs/default-model/models"];

/** Files that the pages below ask for. @param peers where UpscalerJS is installed; null for none */
export async function buildContest(folder: string, peers: string | null): Promise<void> {
  const entry = (name: string): string => fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  await build(folder, { input: { "our-page": entry("our-page"), "peer-page": entry("peer-page") } });
  if (peers === null) return;
  const from = (name: string): string => join(resolve(peers), "node_modules", name);
  for (const [i, script] of SCRIPTS.entries()) await cp(from(script), join(folder, `peers/${i}.js`));
  for (const name of FOLDERS) {
    const wanted = (path: string): boolean => !/\.(js|ts|map)$/.test(path);
    await cp(from(name), join(folder, "peers"), { recursive: true, filter: wanted });
  }
}

/** An address with a page that runs a module, and the photos beside it. */
export function contestFiles(site: Site, { megapixel, square, clear }: Photos): void {
  const scripts = SCRIPTS.map((_, i) => `<script src="peers/${i}.js"></script>`);
  const page = (name: string, before = ""): string =>
    `<!doctype html><meta charset="utf-8">${before}<script type="module" src="${name}.js"></script>`;
  site.changed.set("/our-page.html", page("our-page"));
  site.changed.set("/peer-page.html", page("peer-page", scripts.join("")));
  for (const [name, bytes] of Object.entries({ "megapixel.jpg": megapixel, "square.png": square, "clear.png": clear }))
    site.changed.set(`/${name}`, bytes);
}

async function onPage<T>(browser: Browser, url: string, work: (page: Page) => Promise<T>): Promise<T> {
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  try {
    return await work(await watchedPage(context, url));
  } finally {
    await context.close();
  }
}

/** What the page itself makes of a dropped megapixel, with its pictures on the screen. @param page where it is served */
export async function enlargeOnPage(browser: Browser, page: Site, photos: Photos, contest: Site): Promise<Contestant> {
  const timed = await onPage(browser, page.url, async (tab) => {
    await tab.evaluate(() => localStorage.setItem("deplsr-settings", '{"backend":"wasm"}'));
    await tab.reload();
    const device = (await deviceLine(tab).innerText())
      .replace(/^Works on /, "")
      .replace(/[:(].*/s, "")
      .trim();
    await forgetFreeze(tab);
    const photo: FileToChoose = { name: "megapixel.jpg", mimeType: "image/jpeg", buffer: photos.megapixel };
    await tab.getByLabel("Photo files").first().setInputFiles([photo]);
    return { device, seconds: secondsOf(await doneLine(tab).innerText()), freeze: await freezeOf(tab) };
  });
  const on = (url: string, tile: OurTask["tile"]): Promise<OurResult> =>
    ours(browser, contest, { url, tile, backend: "wasm", times: 1 });
  const [whole, tiled] = [await on("/square.png", 512), await on("/square.png", TILE)];
  return {
    name: "the page",
    ...timed,
    seams: seamLines(await picture(whole.file), await picture(tiled.file), 2),
    opacity: await hasOpacity((await on("/clear.png", "auto")).file),
    failed: null,
  };
}

/** "Done in 2 min 5 s." */
function secondsOf(line: string): number {
  const [, minutes = "0", seconds] = /(?:(\d+) min )?(\d+) s/.exec(line) ?? [];
  if (seconds === undefined) throw new Error(`the page says "${line}", which is no time`);
  return 60 * Number(minutes) + Number(seconds);
}

/** The page's upscaler by itself. */
export function ours(browser: Browser, contest: Site, task: OurTask): Promise<OurResult> {
  return onPage(browser, `${contest.url}our-page.html`, (page) =>
    page.evaluate(
      (task) => (globalThis as unknown as { enlarge(task: OurTask): Promise<OurResult> }).enlarge(task),
      task,
    ),
  );
}

/** UpscalerJS on what TensorFlow.js chooses here, whole or in patches. */
export async function enlargeByPeer(browser: Browser, contest: Site, patched: boolean): Promise<Contestant> {
  const patch = patched ? GUIDE : null;
  const name = `UpscalerJS, ${patch ? `patches of ${patch.size}, padding ${patch.padding}` : "whole, its default"}`;
  const run = (url: string, how = patch): Promise<{ result: PeerResult; freeze: Freeze }> =>
    onPage(browser, `${contest.url}peer-page.html`, async (page) => {
      const crashed = new Promise<never>((_, reject) => page.on("crash", () => reject(new Error("the page crashed"))));
      const late = new Promise<never>((_, reject) =>
        setTimeout(() => reject(new Error(`not done in ${PATIENCE / 60_000} minutes`)), PATIENCE).unref(),
      );
      const result = page.evaluate(
        (task) => (globalThis as unknown as { upscale(task: PeerTask): Promise<PeerResult> }).upscale(task),
        { url, patch: how },
      );
      return { result: await Promise.race([result, crashed, late]), freeze: await freezeOf(page) };
    });
  const nothing = { seconds: null, freeze: null, seams: null, opacity: null };
  let device = "TensorFlow.js";
  try {
    // On the small ones first: what they need is known even where a megapixel fails.
    const tiled = (await run("/square.png")).result;
    device = `TensorFlow.js ${tiled.backend}${tiled.threads > 1 ? `, ${tiled.threads} threads` : ""}`;
    const seams =
      patch && seamLines(await picture((await run("/square.png", null)).result.file), await picture(tiled.file), 2);
    const opacity = await hasOpacity((await run("/clear.png")).result.file);
    const found = { name, device, seams, opacity };
    try {
      const { result, freeze } = await run("/megapixel.jpg");
      return { ...found, seconds: result.seconds, freeze, failed: null };
    } catch (error) {
      return { ...nothing, ...found, failed: firstLine(error) };
    }
  } catch (error) {
    return { ...nothing, name, device, failed: firstLine(error) };
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0]!.replace(/^page\.evaluate: /, "");
}

async function picture(base64: string) {
  return decodeImage(Buffer.from(base64, "base64"), "the result");
}

async function hasOpacity(base64: string): Promise<boolean> {
  const { isOpaque, channels } = await sharp(Buffer.from(base64, "base64")).stats();
  return !isOpaque && Math.abs(channels[3]!.mean - 127.5) < 8;
}

/** The peers' versions. */
export function peerVersions(peers: string): string {
  const version = (name: string): string => {
    const file = join(resolve(peers), "node_modules", name, "package.json");
    return `${name} ${(JSON.parse(readFileSync(file, "utf8")) as { version: string }).version}`;
  };
  return ["upscaler", "@upscalerjs/default-model", "@tensorflow/tfjs"].map(version).join(", ");
}
