/** The service worker: without network, without headers, and with a new version. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from "vitest";
import { openBrowser } from "./harness.ts";
import { choose, deviceLine, doneLine, type Site, serveSite, wavesPhoto } from "./site.ts";

let browser: Browser;
let site: Site;
let context: BrowserContext;
let page: Page;

beforeAll(async () => {
  browser = await openBrowser();
});

afterAll(() => browser.close());

beforeEach(async () => {
  // A host that sets no headers.
  site = await serveSite(inject("built"), {});
  context = await browser.newContext();
  page = await context.newPage();
});

afterEach(async () => {
  await context.close();
  await site.close().catch(() => {});
});

/** Waits until the service worker has stored everything, and the page was loaded again under its headers. */
async function isolated(): Promise<void> {
  await expect.poll(() => page.evaluate(() => crossOriginIsolated).catch(() => false), { timeout: 60_000 }).toBe(true);
}

it("isolates the page, and the photo that was dropped before is taken up again", async () => {
  await page.goto(site.url);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  await choose(page, [wavesPhoto("kept.png", { width: 512, height: 384 })]);
  await isolated();
  await page.getByRole("button", { name: /^kept\.png/ }).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
});

it("works without network after the first visit", async () => {
  await page.goto(site.url);
  await isolated();
  await site.close();
  await page.reload();
  await choose(page, [wavesPhoto()]);
  await doneLine(page).waitFor();
});

it("takes photos that other apps share", async () => {
  await page.goto(site.url);
  await isolated();
  // By then it has taken up what was kept; the next page gets what is shared now.
  await deviceLine(page).waitFor();
  const { name, mimeType, buffer } = wavesPhoto("shared.png");
  await page.evaluate(
    async ({ name, type, base64 }) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const form = new FormData();
      form.append("photos", new File([bytes], name, { type }));
      await fetch("share", { method: "POST", body: form });
    },
    { name, type: mimeType, base64: buffer.toString("base64") },
  );
  await page.reload();
  await page.getByRole("button", { name: /^shared\.png/ }).waitFor();
});

it("offers a new version, takes it when told, and forgets the old one's files", async () => {
  await page.goto(site.url);
  await isolated();
  const stored = (): Promise<readonly string[]> => page.evaluate(() => caches.keys());
  const [old] = await stored();
  await deviceLine(page).waitFor();
  const script = await readFile(join(inject("built"), "sw.js"), "utf8");
  site.changed.set("/sw.js", script.replaceAll(old!.split(" ").at(-1)!, "another"));
  await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
  const take = page.getByRole("button", { name: "Take it" });
  await take.waitFor();
  expect(await stored()).toContain(old);
  await take.click();
  await expect.poll(() => stored().catch(() => [])).toEqual(["deplsr / another"]);
  await page.getByRole("button", { name: "Choose photos" }).waitFor();
});

it("takes photos along to a new version, and says that those that are done are made again", async () => {
  await page.goto(site.url);
  await isolated();
  await deviceLine(page).waitFor();
  await choose(page, [wavesPhoto("done.png")]);
  await doneLine(page).waitFor();
  await choose(page, [wavesPhoto("ended.png", { width: 512, height: 384 })]);
  await page.getByRole("button", { name: /^ended\.png/ }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Cancelled.").waitFor();
  const [old] = await page.evaluate(() => caches.keys());
  const script = await readFile(join(inject("built"), "sw.js"), "utf8");
  site.changed.set("/sw.js", script.replaceAll(old!.split(" ").at(-1)!, "another"));
  await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
  await page.getByText("Download what is done first: it is made again there.").waitFor();
  // The page that is left shows `done.png` as done, too: what counts is what the next one shows.
  await Promise.all([page.waitForEvent("domcontentloaded"), page.getByRole("button", { name: "Take it" }).click()]);
  await page.getByRole("button", { name: "done.png, done" }).waitFor();
  await page.getByRole("button", { name: "ended.png, cancelled" }).waitFor();
});

it("lets the worker reach nothing but its host, by the policy that its file comes with", async () => {
  const elsewhere: string[] = [];
  const other = createServer((request, response) => {
    elsewhere.push(request.url ?? "");
    response.writeHead(200, { "Access-Control-Allow-Origin": "*" }).end("bread");
  }).listen(0, "127.0.0.1");
  await once(other, "listening");
  try {
    await page.goto(site.url);
    await isolated();
    await deviceLine(page).waitFor();
    const url = `http://localhost:${(other.address() as AddressInfo).port}/`;
    const reach = (url: string): Promise<string> =>
      fetch(url).then(
        () => "reached",
        (error: Error) => error.name,
      );
    expect(await page.evaluate(reach, url)).toBe("TypeError");
    // The first one is the engine's; its threads sleep, and answer nobody.
    expect(await page.workers()[0]!.evaluate(reach, url)).toBe("TypeError");
    expect(elsewhere).toEqual([]);
  } finally {
    other.closeAllConnections();
    other.close();
  }
});
