import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readImage, writeImage } from "../../src/data/image.ts";
import { formatTable } from "../../src/data/tsv.ts";
import { SHIPPED_SRCLIP, shippedFile } from "../../src/networks/shipped.ts";
import { describedSrclip } from "../../src/networks/srclip.ts";
import { withTensorFile } from "../../src/networks/weights-file.ts";
import { picture } from "../pictures.ts";
import { TINY_DAT, writeRandomNetwork } from "../tiny-network.ts";
import { deplsr } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "deplsr-visualize-"));
const srclip = shippedFile(SHIPPED_SRCLIP)!;
const config = await withTensorFile(srclip, async (file) => describedSrclip(srclip, file)!);
const side = config.clip.vision.imageSize;
const COLUMNS = ["filepath", "title", "title2", "title3", "title4", "title5", "title6", "title7"];

beforeAll(async () => {
  await writeImage(join(folder, "photo.png"), picture(60, 50));
  const rows: Record<string, string>[] = [];
  for (let i = 0; i < 8; i++) {
    const name = `${i % 2 === 0 ? "deg_1" : "deg_2"}/${i}.png`;
    mkdirSync(join(folder, "tree", `deg_${1 + (i % 2)}`), { recursive: true });
    await writeImage(join(folder, "tree", name), picture(60, 50, i));
    const fine = [`blur with sigma:${i / 4}`, "gaussian noise with sigma:0", "poisson noise with scale:0.0"];
    const texts = ["a picture", "all", ...fine, "jpeg with quality factor:50", "no ringing and overshoot artifacts"];
    rows.push(Object.fromEntries(COLUMNS.map((column, k) => [column, [`tree/${name}`, ...texts][k]!])));
  }
  writeFileSync(join(folder, "table.tsv"), formatTable(COLUMNS, rows));
  await writeRandomNetwork(join(folder, "dat.safetensors"), TINY_DAT);
  await writeRandomNetwork(join(folder, "realdat.safetensors"), {
    ...TINY_DAT,
    type: "RealDAT",
    fusion_num_heads: 2,
    clip_dim: config.clip.embedDim,
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The one object that a command with --json prints. */
async function answered(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await deplsr(["visualize", ...args, "--json"], folder);
  expect([code, stderr]).toEqual([0, expect.not.stringContaining("error")]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe("visualize", () => {
  test("attention draws and tells the maps of both towers' blocks", async () => {
    const { files, square, blocks } = (await answered("attention", "photo.png", "--square", "5,2")) as {
      files: string[];
      square: unknown;
      blocks: { tower: string; block: number; classToken: number; min: number; max: number; map: number[][] }[];
    };
    expect(files).toEqual(["photo_attention.png"]);
    expect(square).toEqual({ left: 5, top: 2, width: side, height: side });
    expect((await readImage(join(folder, "photo_attention.png"))).width).toBeGreaterThan(600);
    expect(blocks.map(({ tower, block }) => `${tower} ${block}`).slice(0, 2)).toEqual(["adaptor 1", "adaptor 2"]);
    expect(blocks.filter(({ tower }) => tower === "tower").length).toBe(blocks.length / 2);
    for (const { classToken, min, max, map } of blocks) {
      const shares = map.flat();
      expect([Math.min(...shares), Math.max(...shares)]).toEqual([min, max]);
      expect(min).toBeGreaterThanOrEqual(0);
      expect(classToken + shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 4);
    }
  });

  test("filters draws principal components of the patch embedding", async () => {
    const { files, explainedVariance } = (await answered("filters", "--out", "made/here")) as {
      files: string[];
      explainedVariance: number[];
    };
    expect(files).toEqual([join("made/here", "srclip_filters.png")]);
    expect(existsSync(join(folder, files[0]!))).toBe(true);
    expect(explainedVariance.length).toBe(28);
    expect([...explainedVariance].sort((a, b) => b - a)).toEqual(explainedVariance);
  });

  test("tsne draws a TSV by level and a folder by sub-folder", async () => {
    const table = (await answered("tsne", "table.tsv", "--perplexity", "2", "--by", "label")) as {
      files: string[];
      points: { label: string; predicted: string; x: number }[];
    };
    expect(table.files).toEqual(["table_tsne_blur.svg", "table_tsne_blur.png"]);
    expect(table.points.map(({ label }) => label).slice(0, 2)).toEqual(["blur with sigma:0", "blur with sigma:0.25"]);
    const svg = readFileSync(join(folder, "table_tsne_blur.svg"), "utf8");
    expect(svg.match(/<title>/g)?.length).toBe(8);
    expect(svg).toContain("sigma:1.5 (2)");
    expect(svg).toContain("prefers-color-scheme: dark");
    expect((await readImage(join(folder, "table_tsne_blur.png"))).width).toBeGreaterThan(1000);
    const tree = await answered("tsne", "tree", "--perplexity", "2", "--kind", "jpeg", "--limit", "7");
    expect([tree.by, (tree.points as unknown[]).length]).toEqual(["folder", 7]);
    const drawn = readFileSync(join(folder, "tree_tsne_jpeg.svg"), "utf8");
    for (const name of ["deg_1", "deg_2"]) expect(drawn).toMatch(new RegExp(`>${name} \\([34]\\)<`));
  });

  test("features and fusion show a network from within", async () => {
    const dat = await answered("features", "photo.png", "--model", "dat.safetensors");
    expect((dat.stages as { after: string }[]).map(({ after }) => after)).toEqual([
      "first convolution",
      "group 1",
      "body",
    ]);
    expect(existsSync(join(folder, "photo_features.png"))).toBe(true);
    const { blocks } = (await answered(
      ...["fusion", "photo.png", "--model", "realdat.safetensors", "--srclip", "srclip"],
    )) as { blocks: { imageToTokens: object; tokensToImage: object }[] };
    const names = ["blur", "gaussian", "poisson", "jpeg", "ringing"];
    expect(blocks.map(({ imageToTokens }) => Object.keys(imageToTokens))).toEqual([names]);
    expect(Object.keys(blocks[0]!.tokensToImage)).toEqual(["content", ...names]);
    expect(existsSync(join(folder, "photo_fusion.png"))).toBe(true);
  });

  test("refuses in one line what it cannot use", async () => {
    const bad: [args: string[], code: number, message: string][] = [
      [["attention", "table.tsv"], 1, "table.tsv is not an image but text"],
      [["tsne", "photo.png"], 1, "photo.png is no table: give a TSV of many images, or a folder of them"],
      [[], 2, "say what to visualize: attention, filters, tsne, features or fusion"],
    ];
    for (const [args, code, message] of bad) {
      const failure = await deplsr(["visualize", ...args], folder);
      const errors = failure.stderr.split("\n").filter((line) => line.startsWith("error: "));
      expect([args, failure.code, errors]).toEqual([args, code, [expect.stringContaining(message)]]);
    }
  });
});
