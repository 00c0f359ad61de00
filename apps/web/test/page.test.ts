/** A visitor's way through the page, on the real upscaler. */
import { readFile } from "node:fs/promises";
import { decode } from "fast-png";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from "vitest";
import { openBrowser } from "./harness.ts";
import { choose, deviceLine, doneLine, give, type Site, serveSite, wavesPhoto } from "./site.ts";

const TEXT = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("Bread, butter, jam.") };
const EMPTY = { name: "empty.jpg", mimeType: "image/jpeg", buffer: Buffer.alloc(0) };

let browser: Browser;
let site: Site;
let context: BrowserContext;
let page: Page;
/** What went wrong in the page, and everything it asked for. */
let errors: string[];
let requests: string[];

beforeAll(async () => {
  browser = await openBrowser();
  site = await serveSite(inject("built"));
});

afterAll(async () => {
  await browser.close();
  await site.close();
});

beforeEach(async () => {
  context = await browser.newContext({ acceptDownloads: true });
  [errors, requests] = [[], []];
  context.on("request", (request) => requests.push(request.url()));
  page = await context.newPage();
  page.on("pageerror", (error) => errors.push(error.message));
  // A violation of the policy is an error on the console.
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(site.url);
});

afterEach(async () => {
  await context.close();
  expect(errors).toEqual([]);
  const foreign = requests.filter((url) => !url.startsWith(site.url) && !/^(blob|data):/.test(url));
  expect(foreign).toEqual([]);
});

async function download(button: string): Promise<{ readonly name: string; readonly bytes: Buffer }> {
  const started = page.waitForEvent("download");
  await page.getByRole("button", { name: button }).click();
  const file = await started;
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}

it("makes a larger photo of a dropped one, and says what it sees", async () => {
  await give(page, "drop", [wavesPhoto()]);
  await doneLine(page).waitFor();
  expect(await page.getByRole("meter").count()).toBe(5);
  expect(await page.getByText("48 × 32 → 96 × 64").count()).toBe(1);
  const { name, bytes } = await download("Download");
  expect(name).toBe("waves_x2.png");
  const { width, height } = decode(bytes);
  expect([width, height]).toEqual([96, 64]);
});

it("takes pasted photos one after the other, and gives all of them in one archive", async () => {
  await give(page, "paste", [wavesPhoto("a.png"), wavesPhoto("b.png")]);
  const { name, bytes } = await download("Download all 2 (ZIP)");
  expect(name).toBe("deplsr.zip");
  expect(bytes.subarray(0, 4).toString("latin1")).toBe("PK\x03\x04");
  const text = bytes.toString("latin1");
  expect(["a_x2.png", "b_x2.png"].every((name) => text.includes(name))).toBe(true);
});

it("names what is no photo in a line each, beside those that are", async () => {
  await choose(page, [TEXT, wavesPhoto(), EMPTY]);
  await doneLine(page).waitFor();
  for (const { name } of [TEXT, EMPTY]) {
    const line = page.getByRole("alert").locator("p").filter({ hasText: name });
    expect(await line.innerText()).toMatch(/^\S+: \S.{10,}$/m);
    await page.getByRole("button", { name: `Dismiss ${name}` }).click();
    expect(await line.count()).toBe(0);
  }
  await page.getByRole("button", { name: "Take out waves.png" }).click();
  await page.getByRole("button", { name: "Choose photos" }).waitFor();
});

it("ends what is cancelled, and begins it again", async () => {
  await choose(page, [wavesPhoto("large.png", { width: 512, height: 384 })]);
  await page.getByRole("progressbar", { name: "Enlarging" }).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Cancelled.").waitFor();
  await page.getByRole("button", { name: "Enlarge", exact: true }).click();
  await page.getByRole("progressbar", { name: "Enlarging" }).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
});

it("remembers what was set", async () => {
  await choose(page, [wavesPhoto()]);
  await doneLine(page).waitFor();
  await page.getByText("Width", { exact: true }).click();
  await page.getByRole("spinbutton", { name: "Pixels" }).fill("72");
  await page.getByRole("spinbutton", { name: "Pixels" }).press("Enter");
  await page.getByRole("combobox", { name: "File" }).selectOption("webp");
  await page.getByRole("button", { name: "Enlarge with these settings" }).click();
  await page.getByText("48 × 32 → 72 × 48").waitFor();
  await page.reload();
  await choose(page, [wavesPhoto("again.png")]);
  await page.getByText("48 × 32 → 72 × 48").waitFor();
  const { name, bytes } = await download("Download");
  expect(name).toBe("again_72w.webp");
  expect(bytes.subarray(8, 12).toString("latin1")).toBe("WEBP");
});

it("does everything by keyboard", async () => {
  await deviceLine(page).waitFor();
  const focused = (): Promise<string> =>
    page.evaluate(() => {
      let element = document.activeElement;
      while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
      return (
        element?.getAttribute("aria-label") ?? element?.querySelector("img")?.alt ?? element?.textContent?.trim() ?? ""
      );
    });
  const tabTo = async (name: RegExp): Promise<void> => {
    for (let i = 0; i < 40; i++) {
      if (name.test(await focused())) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`no Tab leads to ${name}`);
  };
  await tabTo(/Take it|A young deer/);
  await page.keyboard.press("Enter");
  await tabTo(/^Cancel$/);
  await page.keyboard.press("Enter");
  await page.getByText("Cancelled.").waitFor();
  await page.getByRole("button", { name: "Take out deer.jpg" }).press("Enter");
  await choose(page, [wavesPhoto()]);
  await doneLine(page).waitFor();
  await tabTo(/^Line between/);
  const line = page.getByRole("slider", { name: "Line between before and after" });
  await page.keyboard.press("ArrowRight");
  expect(await line.getAttribute("aria-valuenow")).toBe("52");
  await page.keyboard.press("Home");
  expect(await line.getAttribute("aria-valuenow")).toBe("0");
  await page.getByRole("group", { name: /^Picture/ }).focus();
  const percent = page.getByRole("button", { name: /percent/ });
  const before = await percent.innerText();
  await page.keyboard.press("+");
  await expect.poll(() => percent.innerText()).not.toBe(before);
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("0");
  await expect.poll(() => percent.innerText()).toBe(before);
});
