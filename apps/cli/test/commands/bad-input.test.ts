import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEGRADATION_KINDS, scoreDegradation } from "@deplsr/srclip";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCaptioned } from "../../src/data/captioned.ts";
import { writeImage } from "../../src/data/image.ts";
import { readImageList } from "../../src/data/image-list.ts";
import { readText } from "../../src/data/text.ts";
import { runClassify } from "../../src/diagnose/classify.ts";
import { runDiagnose } from "../../src/diagnose/run.ts";
import { bestConstant } from "../../src/evaluate/protocol.ts";
import { runEvaluate } from "../../src/evaluate/run.ts";
import { runIqa } from "../../src/iqa/run.ts";
import { SHIPPED_SRCLIP } from "../../src/networks/shipped.ts";
import { picture } from "../pictures.ts";
import { alone, recordedOutput } from "../recorded-output.ts";

const folder = mkdtempSync(join(tmpdir(), "deplsr-bad-input-"));
const at = (...names: string[]): string => join(folder, ...names);
const device = { backend: "cpu", adapter: undefined } as const;
const srclip = SHIPPED_SRCLIP;

beforeAll(async () => {
  await writeImage(at("photo.png"), picture(24, 20));
  await writeImage(at("photo.jpg"), picture(24, 20));
  await writeImage(at("alone", "a.png"), picture(24, 20));
  await writeImage(at("originals", "other.png"), picture(24, 20));
  await writeImage(at("originals", "another.png"), picture(24, 20));
  mkdirSync(at("empty"));
  writeFileSync(at("table.tsv"), "filepath\ttitle\na.png\ta cat\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("one line says what is wrong", () => {
  test("a photo where a table is wanted", async () => {
    const context = alone(recordedOutput().output);
    const how = { checkpoint: srclip, template: undefined, levels: undefined, fit: undefined, batch: 4 } as const;
    await expect(
      runEvaluate({ ...device, ...how, data: at("photo.jpg"), out: undefined, overwrite: false }, context),
    ).rejects.toThrow(`tsv: ${at("photo.jpg")} is a photo (JPEG), and text is expected: check the path`);
    await expect(readCaptioned(at("photo.png"))).rejects.toThrow("photo.png is a photo (PNG), and text is expected");
    await expect(readText(at("empty"), "list")).rejects.toThrow(`list: ${at("empty")} is a folder: give a file`);
    expect((await readImageList(at("table.tsv"))).images).toHaveLength(1);
  });

  test("a table where a photo is wanted", async () => {
    const context = alone(recordedOutput().output);
    const table = at("table.tsv");
    await expect(
      runClassify({ ...device, image: table, prompts: ["x"], feature: "jpeg", srclip }, context),
    ).rejects.toThrow("table.tsv is not an image but text");
    await expect(
      runDiagnose({ ...device, images: [table], recursive: false, all: false, srclip }, context),
    ).rejects.toThrow("table.tsv is not an image but text");
  });

  test("a set without originals, and so a mean over nothing", async () => {
    const context = alone(recordedOutput().output);
    const flags = { ...device, images: at("alone"), metrics: "psnr", crop: 0, y: false, csv: undefined };
    const more = {
      ...{ set: [], "crop-reference": false, overwrite: false },
      ...{ "niqe-params": undefined, weights: at("weights") },
    };
    await expect(runIqa({ ...flags, ...more, ref: at("originals") }, context)).rejects.toThrow(
      `iqa: nothing could be scored: ${at("alone", "a.png")}: there is no reference of its name`,
    );
    await expect(runIqa({ ...flags, ...more, ref: at("empty") }, context)).rejects.toThrow("empty holds no images");
    expect(() => scoreDegradation(DEGRADATION_KINDS[0]!, [], [])).toThrow("0 probabilities are not 0 images");
    expect(() => bestConstant(DEGRADATION_KINDS[0]!, [])).toThrow("there are no labels");
  });

  test("prompts of no words", async () => {
    const context = alone(recordedOutput().output);
    for (const [prompts, text] of [
      [[], '""'],
      [["noise", "  "], '"  "'],
      [["noise", "&nbsp;"], '"&nbsp;"'],
    ] as const) {
      await expect(
        runClassify({ ...device, image: at("photo.png"), prompts, feature: "jpeg", srclip }, context),
      ).rejects.toThrow(`--prompts: give texts with words, in quotes: ${text} has none`);
    }
  });
});
