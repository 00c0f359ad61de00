import { mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MODELS } from "@deplsr/models";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readImage, writeImage } from "../../src/data/image.ts";
import { shippedNetwork } from "../../src/networks/shipped.ts";
import { picture } from "../pictures.ts";
import { deplsr } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "deplsr-models-"));
beforeAll(async () => {
  await writeImage(join(folder, "photo.png"), picture(60, 50));
  writeFileSync(join(folder, "table.tsv"), "filepath\ttitle\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The one object that a command with --json prints. */
async function answered(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await deplsr([...args, "--json"], folder);
  expect([code, stderr]).toEqual([0, expect.not.stringContaining("error")]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe("models in the box", () => {
  test("are listed with their sizes, and shown with their cards", async () => {
    const { models } = (await answered("models")) as { readonly models: readonly { readonly file: string }[] };
    expect(models.map((model) => ({ ...model, file: realpathSync(model.file) }))).toEqual(
      MODELS.map(({ name, kind, scale, about, weights }) => {
        const file = fileURLToPath(weights);
        return { name, kind, scale, about, file, bytes: statSync(file).size };
      }),
    );
    for (const { name, card } of MODELS) {
      const { code, stdout } = await deplsr(["models", name], folder);
      expect([code, stdout]).toEqual([0, readFileSync(card, "utf8")]);
    }
  });

  test("enlarge a photograph from any folder, by default and by name, and say what they are", async () => {
    expect(await answered("upscale", "photo.png")).toMatchObject({
      images: [{ out: "photo_x2.png", width: 120, height: 100 }],
    });
    await answered("upscale", "photo.png", "--model", "realdat-x2", "--out", "named.png");
    const [unnamed, named] = [
      await readImage(join(folder, "photo_x2.png")),
      await readImage(join(folder, "named.png")),
    ];
    expect(named).toEqual(unnamed);
    expect(await answered("inspect", "realdat-x2")).toMatchObject({
      model: "RealDAT",
      config: { upscale: 2, globalResidual: "bicubic" },
    });
  });

  test("are the same as PyTorch files, once they are told what such a file does not tell", async () => {
    const { stderr } = await deplsr(["convert", "realdat-x2", "x2.pth"], folder);
    const [, flags = ""] =
      /does not tell globalResidual=bicubic.*: deplsr upscale takes that with (.*)$/m.exec(stderr) ?? [];
    const prompt = ["--srclip", "srclip", "--clip-input", "normalized", "--clip-fit", "crop", "--colour", "keep"];
    await answered("upscale", "photo.png", "--model", "x2.pth", ...flags.split(" "), ...prompt, "--out", "pth.png");
    await answered("upscale", "photo.png", "--model", "realdat-x2", "--out", "box.png");
    expect(await readImage(join(folder, "pth.png"))).toEqual(await readImage(join(folder, "box.png")));
  });

  test("are chosen by what is wanted", () => {
    const scales = MODELS.flatMap(({ kind, scale }) => (kind === "sr" ? [scale!] : []));
    expect(shippedNetwork(undefined)).toBe("realdat-x2");
    for (const scale of scales) expect(shippedNetwork(scale)).toBe(`realdat-x${scale}`);
    expect(shippedNetwork(1.5)).toBe("realdat-x2");
    expect(shippedNetwork(100)).toBe(`realdat-x${Math.max(...scales)}`);
  });
});

describe("diagnose and classify", () => {
  test("tell each degradation's levels, which sum to 1, as text and as JSON", async () => {
    const { images } = (await answered("diagnose", "photo.png")) as {
      images: {
        in: string;
        degradations: Record<string, { level: string; probability: number; levels: Record<string, number> }>;
      }[];
    };
    expect(images.map((image) => image.in)).toEqual(["photo.png"]);
    const told = images[0]!.degradations;
    expect(Object.keys(told)).toEqual(["blur", "gaussian", "poisson", "jpeg", "ringing"]);
    expect(Object.keys(told.blur!.levels)).toContain("sigma:1.5");
    for (const { level, probability, levels } of Object.values(told)) {
      expect(Object.values(levels).reduce((a, b) => a + b)).toBeCloseTo(1, 5);
      expect(levels[level]).toBe(probability);
    }
    const { stdout } = await deplsr(["diagnose", "photo.png"], folder);
    const lines = stdout.split("\n").filter((line) => line.includes("["));
    expect(lines.map((line) => line.trim().split(/ +/)[0])).toEqual(Object.keys(told));
    for (const [i, { level, probability }] of Object.values(told).entries()) {
      expect(lines[i]).toContain(level);
      expect(lines[i]).toMatch(new RegExp(`\\b${Math.round(100 * probability)} %$`));
    }
    const all = await deplsr(["diagnose", "photo.png", "--all"], folder);
    expect(all.stdout.split("\n").filter((line) => line.includes(" %")).length).toBe(7 * 4 + 2);
  });

  test("compare a photograph with texts", async () => {
    const prompts = ["jpeg with quality factor:30.0", "jpeg with quality factor:90.0"];
    const shares: number[][] = [];
    for (const feature of ["jpeg", "degradation", "content"]) {
      const { probabilities } = (await answered(
        "classify",
        "photo.png",
        "--feature",
        feature,
        "--prompts",
        ...prompts,
      )) as {
        probabilities: Record<string, number>;
      };
      expect(Object.keys(probabilities)).toEqual(prompts);
      shares.push(Object.values(probabilities));
      expect(shares.at(-1)!.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    }
    expect(shares[0]).not.toEqual(shares[1]);
    expect(shares[1]).not.toEqual(shares[2]);
  });

  test("refuse in one line what they cannot use", async () => {
    const bad: [args: string[], code: number, message: string][] = [
      [["diagnose", "table.tsv"], 1, "table.tsv is not an image but text"],
      [["diagnose", "none.jpg"], 1, "none.jpg does not exist: check the path"],
      [
        ["diagnose", "photo.png", "--srclip", "realdat-x2"],
        1,
        "an SRCLIP with features for single degradations is needed",
      ],
      [
        ["classify", "photo.png", "--prompts", "an elephant"],
        1,
        '"elephant" in "an elephant" is no word that this model has learned',
      ],
      [["classify", "photo.png", "--prompts", " "], 2, "--prompts: give texts with words, in quotes"],
      [["classify", "photo.png"], 2, "Missing required argument: prompts"],
      [["evaluate", "--data", "photo.png"], 1, "photo.png"],
    ];
    for (const [args, code, message] of bad) {
      const failure = await deplsr(args, folder);
      expect([args, failure.code]).toEqual([args, code]);
      const errors = failure.stderr.split("\n").filter((line) => line.startsWith("error: "));
      expect([args, errors]).toEqual([args, [expect.stringContaining(message)]]);
    }
  });
});
