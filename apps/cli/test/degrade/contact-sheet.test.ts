import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { crop } from "../../src/data/crop.ts";
import { type Image, readImage } from "../../src/data/image.ts";
import { writeContactSheet } from "../../src/degrade/contact-sheet.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const plain = (width: number, height: number, ...color: number[]): Image => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => color[i % 3]!),
});

/** The share of a rectangle's bytes that are dark. */
function dark(sheet: Image, left: number, top: number, width: number, height: number): number {
  const { data } = crop(sheet, { left, top, width, height });
  return data.filter((value) => value < 128).length / data.length;
}

test("pictures stand in rows, each in the middle of its place and above its caption", async () => {
  const path = join(temporaryFolder(), "sheet.png");
  await writeContactSheet(path, [
    { image: plain(448, 224, 0, 0, 0), caption: "a wide one & <b>no markup</b>" },
    { image: plain(7, 14, 0, 0, 0), caption: "\u0007." },
    { image: picture(224, 224), caption: "a caption of many words ".repeat(40) },
  ]);
  const sheet = await readImage(path);
  expect(sheet.width).toBe(12 + 2 * 236);
  // The wide picture is 224 x 112, at the bottom of a row that the tall one makes 224 high.
  expect(dark(sheet, 12, 12, 224, 112)).toBe(0);
  expect(dark(sheet, 12, 12 + 112, 224, 112)).toBe(1);
  expect(dark(sheet, 12 + 236 + 56, 12, 112, 224)).toBe(1);
  expect(dark(sheet, 12 + 236, 12, 56, 224)).toBe(0);
  const text = dark(sheet, 12, 12 + 224 + 6, 224, 14);
  expect(text).toBeGreaterThan(0.02);
  expect(text).toBeLessThan(0.4);
  // The second row: picture and a caption that is cut off.
  const second = 12 + 224 + 6 + 12;
  expect(sheet.height).toBeGreaterThan(second + 224 + 120);
  expect(sheet.height).toBeLessThan(second + 224 + 120 + 60);
});

test("a machine without fonts is noticed", () => {
  const config = join(temporaryFolder(), "fonts.conf");
  writeFileSync(config, '<?xml version="1.0"?><fontconfig><dir>/nonexistent</dir></fontconfig>');
  const sheet = new URL("../../src/degrade/contact-sheet.ts", import.meta.url).href;
  const script = `console.log(await (await import("${sheet}")).hasFonts());`;
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const args = ["--import", tsx, "--input-type=module", "-e", script];
  const { stdout } = spawnSync(process.execPath, args, {
    env: { ...process.env, FONTCONFIG_FILE: config },
    encoding: "utf8",
  });
  expect(stdout).toBe("false\n");
});
