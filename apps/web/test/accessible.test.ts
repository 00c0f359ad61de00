/** The page in all its states under axe-core, light and dark, wide and narrow; and how it looks there. */
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AxeResults } from "axe-core";
import type { Browser, Page } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { openBrowser } from "./harness.ts";
import { choose, doneLine, type FileToChoose, type Site, serveSite } from "./site.ts";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PICTURES = join(tmpdir(), "deplsr-page-pictures");

let browser: Browser;
let site: Site;

beforeAll(async () => {
  browser = await openBrowser();
  site = await serveSite(inject("built"));
  await mkdir(PICTURES, { recursive: true });
});

afterAll(async () => {
  await browser.close();
  await site.close();
});

const photograph = async (name: string): Promise<FileToChoose> => ({
  name,
  mimeType: "image/jpeg",
  buffer: await readFile(new URL(`../../../packages/models/photographs/${name}`, import.meta.url)),
});

async function findings(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}

it.each([
  { name: "light", colorScheme: "light", width: 1280, height: 800 },
  { name: "dark", colorScheme: "dark", width: 1280, height: 800 },
  { name: "phone", colorScheme: "light", width: 390, height: 844 },
  { name: "phone-dark", colorScheme: "dark", width: 320, height: 640 },
] as const)("has no findings and no sideways scrolling: $name", async ({ name, colorScheme, width, height }) => {
  const narrow = width < 500;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    reducedMotion: "reduce",
    ...(narrow ? { hasTouch: true, isMobile: true, deviceScaleFactor: 2 } : {}),
  });
  const page = await context.newPage();
  const check = async (state: string): Promise<void> => {
    await page.screenshot({ path: join(PICTURES, `${name}-${state}.png`), fullPage: narrow });
    expect(await findings(page), state).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth), state).toBe(width);
  };
  try {
    await page.goto(`${site.url}test/pages/stand-in.html?tile=held`);
    await page.getByRole("button", { name: "Choose photos" }).waitFor();
    await check("empty");
    const notes = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("Bread.") };
    await choose(page, [await photograph("waterfall.jpg"), await photograph("deer.jpg"), notes]);
    await page.getByText(/^Enlarging 5\d %/).waitFor();
    await page.getByRole("button", { name: "Dismiss notes.txt" }).waitFor();
    await check("working");
    await page.evaluate(() => dispatchEvent(new Event("go-on")));
    await doneLine(page).waitFor();
    await check("done");
    await page.getByRole("button", { name: "Attention" }).click();
    await page.getByRole("button", { name: "Side by side" }).click();
    await page.getByText("Height", { exact: true }).click();
    await page.getByRole("spinbutton", { name: "Pixels" }).fill("30000");
    await page.getByRole("spinbutton", { name: "Pixels" }).press("Enter");
    await page.getByRole("button", { name: "Enlarge with these settings" }).click();
    await page.getByText(/too large/).waitFor();
    await check("failed");
  } finally {
    await context.close();
  }
});

it.each(["light", "dark"] as const)(
  "shows how far it is in the colours that somebody has forced: %s",
  async (colorScheme) => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme, forcedColors: "active" });
    try {
      await page.goto(`${site.url}test/pages/stand-in.html?tile=held`);
      await choose(page, [await photograph("waterfall.jpg")]);
      await page.getByText(/^Enlarging 5\d %/).waitFor();
      await page.screenshot({ path: join(PICTURES, `forced-${colorScheme}-working.png`) });
      const bars = [page.getByRole("progressbar", { name: "Enlarging" }), page.getByRole("meter").first()];
      for (const bar of bars) {
        const { data, info } = await sharp(await bar.screenshot())
          .removeAlpha()
          .raw()
          .toBuffer({ resolveWithObject: true });
        const colourAt = (share: number): string => {
          const pixel = Math.floor(info.height / 2) * info.width + Math.floor(info.width * share);
          return [...data.subarray(pixel * 3, pixel * 3 + 3)].join();
        };
        // What is done, and what is left.
        expect(colourAt(0.1)).not.toBe(colourAt(0.9));
      }
      await page.evaluate(() => dispatchEvent(new Event("go-on")));
      await doneLine(page).waitFor();
      await page.screenshot({ path: join(PICTURES, `forced-${colorScheme}-done.png`) });
    } finally {
      await page.close();
    }
  },
);

it("keeps many photos in their row, beside what is said of one", async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  try {
    await page.goto(`${site.url}test/pages/stand-in.html?tile=held`);
    const deer = await photograph("deer.jpg");
    await choose(
      page,
      Array.from({ length: 40 }, (_, i) => ({ ...deer, name: `${i}.jpg` })),
    );
    await page.getByRole("button", { name: "39.jpg, waiting", exact: true }).waitFor();
    const [picture, panel] = [page.locator("deplsr-compare"), page.locator("deplsr-panel")].map((part) =>
      part.boundingBox(),
    );
    const { x, width } = (await picture)!;
    expect(x + width).toBeLessThanOrEqual((await panel)!.x);
    // The last one is reached by scrolling, or by its key.
    await page.getByRole("button", { name: "39.jpg, waiting", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "39.jpg", level: 2 }).waitFor();
  } finally {
    await page.close();
  }
});
