/** The upscaler in a page, without the page around it: beside the command, and where things go wrong. */
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import sharp, { type Sharp } from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildPage, ISOLATED, openBrowser, serve, watched } from "./harness.ts";
import type { PageCalls, PageResult } from "./page.ts";

const COMMAND = fileURLToPath(new URL("../../cli/bin/deplsr.js", import.meta.url));
const DEER = fileURLToPath(new URL("../../../packages/models/photographs/deer.jpg", import.meta.url));

let folder: string;
let server: Awaited<ReturnType<typeof serve>>;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "deplsr-engine-"));
  await buildPage(fileURLToPath(new URL("page.ts", import.meta.url)), join(folder, "page"));
  server = await serve(join(folder, "page"), () => ISOLATED);
  browser = await openBrowser();
  page = await opened();
}, 240_000);

afterAll(async () => {
  await browser.close();
  server.close();
  await rm(folder, { recursive: true });
});

/** A page of its own. */
async function opened(): Promise<Page> {
  const page = watched(await browser.newPage());
  await page.goto(server.url);
  return page;
}

/** Calls what test/page.ts offers there. */
function call<Name extends keyof PageCalls>(
  where: Page,
  name: Name,
  ...what: Parameters<PageCalls[Name]>
): Promise<Awaited<ReturnType<PageCalls[Name]>>> {
  return where.evaluate(
    ([name, what]) =>
      (globalThis as unknown as Record<string, (...what: unknown[]) => unknown>)[name as string]!(
        ...(what as unknown[]),
      ),
    [name, what] as const,
  ) as Promise<Awaited<ReturnType<PageCalls[Name]>>>;
}

/** The middle of a photograph. */
function square(side: number): Sharp {
  return sharp(DEER).extract({ left: 120, top: 100, width: side, height: side - 16 });
}

/** Noise with soft edges of opacity. */
function transparent(depth: 8 | 16): Sharp {
  const [width, height] = [48, 40];
  const white = depth === 16 ? 65535 : 255;
  const values = Array.from({ length: width * height * 4 }, (_, i) => {
    const [x, y] = [(i >> 2) % width, Math.floor((i >> 2) / width)];
    const wave = 0.5 + 0.45 * Math.sin(x / 4 + (i % 4)) * Math.cos(y / 5);
    return Math.round(white * (i % 4 === 3 ? Math.min(1, Math.max(0, (x - 8) / 20)) : wave));
  });
  const raw = depth === 16 ? Uint16Array.from(values) : Uint8Array.from(values);
  return sharp(raw, { raw: { width, height, channels: 4 } });
}

const PHOTOS: readonly { name: string; bytes: () => Promise<Buffer> }[] = [
  {
    name: "turned.jpg",
    bytes: () =>
      square(96)
        .withMetadata({ orientation: 6, exif: { IFD0: { Copyright: "somebody" } } })
        .withIccProfile("p3")
        .jpeg({ quality: 80 })
        .toBuffer(),
  },
  { name: "grey.jpg", bytes: () => square(64).toColourspace("b-w").jpeg().toBuffer() },
  { name: "clear.png", bytes: () => transparent(8).png().toBuffer() },
  { name: "deep.png", bytes: () => transparent(16).toColourspace("rgb16").png().toBuffer() },
  { name: "palette.png", bytes: () => transparent(8).png({ palette: true }).toBuffer() },
];

/** Values of a picture, 16 bits each, and what its file says. */
async function seen(bytes: Uint8Array): Promise<{ values: Uint16Array; about: Record<string, unknown> }> {
  const { data, info } = await sharp(bytes)
    .toColourspace("rgb16")
    .ensureAlpha()
    .raw({ depth: "ushort" })
    .toBuffer({ resolveWithObject: true });
  const { width, height, orientation = 1, icc, exif, depth, space, hasAlpha } = await sharp(bytes).metadata();
  const about = {
    width,
    height,
    channels: info.channels,
    orientation,
    depth,
    space,
    hasAlpha,
    icc: icc?.length ?? 0,
    exif: exif?.toString("latin1").includes("somebody") ?? false,
  };
  return { values: new Uint16Array(data.buffer, data.byteOffset, data.length / 2), about };
}

describe("beside the command", () => {
  beforeAll(async () => {
    const photos = await Promise.all(
      PHOTOS.map(async ({ name, bytes }) => {
        await writeFile(join(folder, name), await bytes());
        return join(folder, name);
      }),
    );
    const words = ["upscale", ...photos, "--out", join(folder, "theirs"), "--suffix", "", "--backend", "cpu"];
    execFileSync(process.execPath, [COMMAND, ...words], { stdio: "pipe" });
  });

  it.each(PHOTOS)("gives the same pixels of $name, and keeps the same metadata", async ({ name }) => {
    const file = (await readFile(join(folder, name))).toString("base64");
    const made = await call(page, "enlarge", { file, name, backend: "wasm", format: "png" });
    const result = join(folder, "theirs", name.replace(/\.\w+$/, ".png"));
    const [ours, theirs] = await Promise.all([seen(Buffer.from(made.file, "base64")), seen(await readFile(result))]);
    expect(ours.about).toEqual(theirs.about);
    expect(ours.values).toEqual(theirs.values);
    expect(made.tiles).toBeGreaterThan(0);
  });

  it("sees what the command sees", async () => {
    const photo = join(folder, "seen.jpg");
    const file = await square(128).jpeg({ quality: 40 }).toBuffer();
    await writeFile(photo, file);
    const printed = execFileSync(process.execPath, [COMMAND, "diagnose", photo, "--json", "--backend", "cpu"], {
      stdio: "pipe",
    });
    const { images } = JSON.parse(printed.toString()) as {
      images: [{ degradations: Record<string, { level: string; probability: number }> }];
    };
    const bars = await call(page, "diagnose", { file: file.toString("base64"), backend: "wasm" });
    expect(bars.map(({ kind }) => kind)).toEqual(["blur", "gaussian", "poisson", "jpeg", "ringing"]);
    for (const { kind, level, certainty, severity } of bars) {
      const { level: theirs, probability } = images[0].degradations[kind]!;
      expect(certainty).toBeCloseTo(probability, 4);
      const number = Number(theirs.split(":")[1] ?? Number.NaN);
      if (number > 0) expect(Number(level.split(" ").at(-1))).toBe(number);
      expect(severity).toBeGreaterThanOrEqual(0);
      expect(severity).toBeLessThanOrEqual(1);
    }
  });

  it.each(["jpeg", "webp"] as const)("writes %s with the photo's metadata", async (format) => {
    const file = await PHOTOS[0]!.bytes();
    const made = await call(page, "enlarge", { file: file.toString("base64"), name: "a.jpg", backend: "wasm", format });
    const { about } = await seen(Buffer.from(made.file, "base64"));
    expect(about).toMatchObject({ width: 160, height: 192, orientation: 1, exif: true });
    expect(about.icc).toBeGreaterThan(100);
  });
});

describe("where things go wrong", () => {
  it.each<[string, () => Promise<Buffer>, RegExp]>([
    [
      "HEIC",
      async () => Buffer.from("\0\0\0\x18ftypheic\0\0\0\0heicmif1", "latin1"),
      /^it is HEIC \(HEVC\), which cannot be read here/,
    ],
    ["text", async () => Buffer.from("Bread, butter, jam."), /^it is not an image but text/],
    ["nothing", async () => Buffer.alloc(0), /^it is empty \(0 bytes\)/],
    ["TIFF", () => square(32).tiff().toBuffer(), /^it is a TIFF, which browsers do not read/],
    ["half a PNG", async () => (await transparent(8).png().toBuffer()).subarray(0, 900), /^it is truncated or damaged/],
    ["half a WebP", async () => (await square(64).webp().toBuffer()).subarray(0, 700), /^it is truncated or damaged/],
  ])("names %s in one line", async (_, bytes, reason) => {
    const file = (await bytes()).toString("base64");
    const answer = await call(page, "refused", { file, backend: "wasm" });
    expect(answer).toMatch(reason);
    expect(answer).not.toContain("\n");
  });

  it("ends what is aborted before the next tile, and works on", async () => {
    const file = (await square(128).png().toBuffer()).toString("base64");
    const { aborted, after } = await call(page, "abortAndGoOn", { file, backend: "wasm" });
    expect(aborted).toEqual({ name: "AbortError", tiles: 1 });
    expect(after).toEqual({ width: 256, height: 224 });
  });

  it("goes on where its GPU is lost, on another device, with the same picture", async () => {
    const own = await browser.newPage();
    // Keeps hold of the device in the worker, and destroys it when it is told to.
    await own.route(/worker-.*\.js$/, async (route) => {
      const response = await route.fetch();
      const body = `{
        const request = GPUAdapter.prototype.requestDevice;
        GPUAdapter.prototype.requestDevice = async function (...what) { return (globalThis.lastDevice = await request.apply(this, what)); };
        new BroadcastChannel("lose").onmessage = () => globalThis.lastDevice.destroy();
      }\n${await response.text()}`;
      await route.fulfill({ response, body });
    });
    await own.goto(server.url);
    const file = (await square(64).png().toBuffer()).toString("base64");
    const what = { file, name: "a.png", format: "png", tile: 32 } as const;
    const lost: PageResult = await call(own, "enlarge", { ...what, backend: "webgpu", loseAfter: 1 });
    const whole = await call(page, "enlarge", { ...what, backend: "wasm" });
    expect(lost.devices.length).toBeGreaterThan(0);
    expect(lost.devices[0]).toMatch(/failed/);
    const [ours, theirs] = await Promise.all([lost, whole].map(({ file }) => seen(Buffer.from(file, "base64"))));
    const worst = ours!.values.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs!.values[i]!)), 0);
    expect(worst / 257).toBeLessThanOrEqual(1);
    await own.close();
  }, 240_000);

  it("keeps a result that is too large for memory on disk, and writes it strip by strip", async () => {
    const { file, crop, left } = await call(page, "large", { width: 3000, height: 2000 });
    const { data, info } = await sharp(Buffer.from(file, "base64")).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height, info.channels]).toEqual([3000, 2000, 3]);
    // What test/page.ts writes: red by row, green by column, blue by both.
    for (const [x, y] of [
      [0, 0],
      [2999, 1999],
      [1234, 777],
      [17, 1998],
    ] as const)
      expect(Array.from(data.subarray((y * 3000 + x) * 3, (y * 3000 + x) * 3 + 3))).toEqual([
        y % 256,
        x % 256,
        (x + y) % 256,
      ]);
    // A part of 40 by 20 pixels whose colours do not wrap around, at half the size: means of two by two.
    expect(crop).toEqual([10.5, 100.5, 111].map(Math.round));
    expect(left).toBe(0);
  });
});
