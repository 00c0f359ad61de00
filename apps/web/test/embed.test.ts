/** The element and the library, in a page of another origin than their files. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { openBrowser } from "./harness.ts";
import { type Site, serveSite, wavesPhoto } from "./site.ts";

let browser: Browser;
let files: Site;
let host: Site;
let folder: string;
let page: Page;

beforeAll(async () => {
  browser = await openBrowser();
  // As networks for the delivery of files answer.
  files = await serveSite(inject("built"), {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
  });
  folder = await mkdtemp(join(tmpdir(), "deplsr-embed-"));
  await writeFile(join(folder, "waves.png"), wavesPhoto().buffer);
  await writeFile(
    join(folder, "index.html"),
    `<!doctype html><title>A page</title>
    <script type="module" src="${files.url}deplsr.js"></script>
    <deplsr-upscaler id="image"><img src="waves.png" alt="Waves"></deplsr-upscaler>
    <deplsr-upscaler id="canvas" scale="3"><canvas width="20" height="16"></canvas></deplsr-upscaler>
    <deplsr-upscaler id="address" src="waves.png"></deplsr-upscaler>
    <deplsr-upscaler id="nothing"></deplsr-upscaler>`,
  );
  host = await serveSite(folder);
  page = await browser.newPage();
  await page.goto(host.url);
});

afterAll(async () => {
  await browser.close();
  await Promise.all([files.close(), host.close(), rm(folder, { recursive: true })]);
});

it("has its picture in the example page", async () => {
  const example = await browser.newPage();
  await example.goto(`${files.url}embed.html`);
  await example.waitForFunction(() => document.querySelector("img")?.naturalWidth === 384);
  await example.waitForFunction(() => document.querySelector("deplsr-upscaler")?.shadowRoot?.querySelector("button"));
  await example.close();
});

it("opens an upscaler from three lines", async () => {
  // As text: what transforms tests would put a function of its own in the place of `import`.
  const answer = await page.evaluate(`(async () => {
    const { openUpscaler } = await import("${files.url}deplsr.js");
    const photo = await (await openUpscaler()).read(await (await fetch("waves.png")).blob());
    const better = await (await photo.enlarge({ scale: 2 })).encode("png");
    const { width, height } = await createImageBitmap(better);
    return [width, height];
  })()`);
  expect(answer).toEqual([96, 64]);
});

it.each([
  ["image", "48 × 32 → 96 × 64"],
  ["canvas", "20 × 16 → 60 × 48"],
  ["address", "48 × 32 → 96 × 64"],
])("enlarges what an element has: %s", async (id, sizes) => {
  const element = page.locator(`#${id}`);
  await element.getByRole("button", { name: "Enlarge" }).click();
  await element.getByText(sizes).waitFor();
  await element.getByRole("button", { name: "Download" }).waitFor();
});

it("says what is missing", async () => {
  const element = page.locator("#nothing");
  await element.getByRole("button", { name: "Enlarge" }).click();
  await element.getByText("there is no picture").waitFor();
});
