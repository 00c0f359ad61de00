/** The page where a host's policy forbids WebAssembly: a GPU does the work, and where there is none either, a line says so. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { openBrowser } from "./harness.ts";
import { choose, doneLine, type Site, serveSite, wavesPhoto } from "./site.ts";

let site: Site;
/** With WebGPU on SwiftShader, and without any. */
let browser: Browser;
let bare: Browser;

beforeAll(async () => {
  // Together with the page's own, the stricter of both holds; workers have that of their file's answer alone.
  site = await serveSite(inject("built"), { "Content-Security-Policy": "script-src 'self'" });
  [browser, bare] = await Promise.all([openBrowser(), openBrowser({ webgpu: false })]);
});

afterAll(async () => {
  await Promise.all([browser.close(), bare.close()]);
  await site.close();
});

async function opened(where: Browser): Promise<Page> {
  const page = await (await where.newContext({ serviceWorkers: "block" })).newPage();
  await page.goto(site.url);
  return page;
}

it("works on the GPU there is, a software one too", async () => {
  const page = await opened(browser);
  await page.getByText("Works on Google swiftshader").waitFor();
  await choose(page, [wavesPhoto()]);
  await doneLine(page).waitFor({ timeout: 240_000 });
  expect(await page.getByRole("meter").count()).toBe(5);
}, 300_000);

it("says in one line what is missing where there is no GPU, and the same of each photo but once", async () => {
  const page = await opened(bare);
  const line = page.getByRole("alert").getByText(/^nothing here can do the work/);
  await line.waitFor();
  expect(await line.innerText()).toBe(
    "nothing here can do the work: no GPU (the browser offers no GPU), and no WebAssembly (the page's security policy forbids it: script-src needs 'wasm-unsafe-eval')",
  );
  await choose(page, [wavesPhoto("a.png"), wavesPhoto("b.png")]);
  await page.getByRole("button", { name: "a.png, failed" }).waitFor();
  expect(await page.getByText("nothing here can do the work").count()).toBe(1);
});
