/** Headless Chromium with pages of folders, and what pages are asked for: times, and how long their main thread was busy at a stretch. */
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { mergeConfig, type Plugin, build as viteBuild } from "vite";
import pageConfig from "../../../apps/web/vite.config.ts";

const APP = fileURLToPath(new URL("../../../apps/web/", import.meta.url));

/** How the page is built. */
export interface BuildOptions {
  /** HTML or modules by name; default: the page itself, with everything beside it. */
  readonly input?: Readonly<Record<string, string>>;
  readonly plugins?: readonly Plugin[];
}

/** Builds the page, or another one with its configuration, into a folder. */
export async function build(outDir: string, { input, plugins = [] }: BuildOptions = {}): Promise<void> {
  // In place of the page's, not beside them.
  const output = { entryFileNames: "[name].js" };
  const own = input ? { ...pageConfig.build, rollupOptions: { input: { ...input }, output } } : pageConfig.build;
  const config = mergeConfig(
    { ...pageConfig, build: own },
    {
      root: APP,
      configFile: false,
      logLevel: "error",
      plugins,
      worker: { plugins: () => [...plugins] },
      build: { outDir, emptyOutDir: true },
    },
  );
  await viteBuild(config);
}

/** How long the main thread of a page was busy, in ms. */
export interface Freeze {
  /** Its longest task. */
  readonly longestTask: number;
  /** The longest time between two turns of a timer that wants one all the time. */
  readonly longestGap: number;
}

/** Opens a page that is watched from its first line on. */
export async function watchedPage(context: BrowserContext, url: string): Promise<Page> {
  // What transforms this file's functions gives them names by a function that pages do not have.
  await context.addInitScript("globalThis.__name ??= (f) => f");
  await context.addInitScript(watch);
  const page = await context.newPage();
  page.on("pageerror", (error) => process.stderr.write(`page: ${error.message}\n`));
  await page.goto(url);
  return page;
}

/** Runs in the page. */
function watch(): void {
  const seen = { longestTask: 0, longestGap: 0 };
  let last = performance.now();
  const turn = (): void => {
    const now = performance.now();
    seen.longestGap = Math.max(seen.longestGap, now - last);
    last = now;
    setTimeout(turn);
  };
  turn();
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) seen.longestTask = Math.max(seen.longestTask, duration);
  }).observe({ type: "longtask", buffered: true });
  Object.assign(globalThis, { seenFreeze: seen });
}

/** Begins to look for freezes anew. */
export async function forgetFreeze(page: Page): Promise<void> {
  await page.evaluate(() => Object.assign(seenFreeze, { longestTask: 0, longestGap: 0 }));
}

/** What was seen since. */
export async function freezeOf(page: Page): Promise<Freeze> {
  // The observer is told of a task after it has ended.
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200)));
  return page.evaluate(() => ({ ...seenFreeze }));
}

declare const seenFreeze: { longestTask: number; longestGap: number };

/** "HeadlessChrome 147.0.7727.15". */
export function browserName(browser: Browser): string {
  return `headless Chromium ${browser.version()}`;
}
