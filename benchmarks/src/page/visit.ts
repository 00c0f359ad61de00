/** What a visitor waits for: paint, something to press, the device, the first bars. */
import type { Browser, Page } from "playwright-core";
import { deviceLine, type FileToChoose, type Site } from "../../../apps/web/test/site.ts";
import { forgetFreeze, freezeOf, watchedPage } from "./browser.ts";

/** In ms; all but the last from the beginning of the navigation. */
export interface Visit {
  readonly firstPaint: number;
  readonly firstContent: number;
  /** The button that takes photos is there, and listens. */
  readonly interactive: number;
  /** The longest task until the device is known. */
  readonly longestTask: number;
  readonly device: number;
  /** From a photo's choice to its five bars. */
  readonly bars: number;
}

/** Visits the page so often: each first visit by itself, and the second right after it, out of the browser's memory of it. */
export async function visits(
  browser: Browser,
  site: Site,
  photo: FileToChoose,
  times: number,
): Promise<{ readonly first: readonly Visit[]; readonly second: readonly Visit[] }> {
  const [first, second]: [Visit[], Visit[]] = [[], []];
  for (let i = 0; i < times; i++) {
    const context = await browser.newContext();
    try {
      const page = await watchedPage(context, "about:blank");
      for (const visits of [first, second]) visits.push(await visit(page, site.url, photo));
    } finally {
      await context.close();
    }
  }
  return { first, second };
}

async function visit(page: Page, url: string, photo: FileToChoose): Promise<Visit> {
  await page.goto(url, { waitUntil: "commit" });
  await page.getByRole("button", { name: "Choose photos" }).waitFor();
  const interactive = await page.evaluate(() => performance.now());
  await deviceLine(page).waitFor();
  const device = await page.evaluate(() => performance.now());
  const { longestTask } = await freezeOf(page);
  const paints = await page.evaluate(() =>
    Object.fromEntries(performance.getEntriesByType("paint").map(({ name, startTime }) => [name, startTime])),
  );
  await forgetFreeze(page);
  const started = performance.now();
  await page.getByLabel("Photo files").first().setInputFiles([photo]);
  await page.getByRole("meter").nth(4).waitFor();
  return {
    firstPaint: paints["first-paint"]!,
    firstContent: paints["first-contentful-paint"]!,
    interactive,
    longestTask,
    device,
    bars: performance.now() - started,
  };
}
