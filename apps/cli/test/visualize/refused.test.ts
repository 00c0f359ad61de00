import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeImage } from "../../src/data/image.ts";
import { formatTable } from "../../src/data/tsv.ts";
import { UsageError, UserError } from "../../src/errors.ts";
import { SHIPPED_SRCLIP } from "../../src/networks/shipped.ts";
import { runAttention } from "../../src/visualize/attention.ts";
import { runFeatures } from "../../src/visualize/features.ts";
import { runFilters } from "../../src/visualize/filters.ts";
import { runFusion } from "../../src/visualize/fusion.ts";
import { runTsne, type TsneFlags } from "../../src/visualize/run-tsne.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { TINY_DAT, writeRandomNetwork } from "../tiny-network.ts";

const folder = mkdtempSync(join(tmpdir(), "deplsr-visualize-"));
const at = (name: string): string => join(folder, name);
const COLUMNS = ["filepath", "title", "title2", "title3", "title4", "title5", "title6", "title7"];

beforeAll(async () => {
  await writeImage(at("photo.png"), picture(60, 50));
  mkdirSync(at("tree"));
  for (let i = 0; i < 8; i++) await writeImage(at(`tree/${i}.png`), picture(20, 20, i));
  const rows = Array.from({ length: 8 }, (_, i) =>
    Object.fromEntries(COLUMNS.map((column, k) => [column, k === 0 ? `tree/${i}.png` : "sharp"])),
  );
  writeFileSync(at("table.tsv"), formatTable(COLUMNS, rows));
  await writeRandomNetwork(at("dat.safetensors"), TINY_DAT);
});
afterAll(() => rmSync(folder, { recursive: true }));

const context = { output: recordedOutput().output };
const common = { backend: "cpu", adapter: undefined, out: at("out"), overwrite: false } as const;
const attention = { ...common, image: at("photo.png"), srclip: SHIPPED_SRCLIP, square: undefined };
const network = { ...common, image: at("photo.png"), model: at("dat.safetensors"), srclip: undefined };
const plot: TsneFlags = {
  ...common,
  data: at("table.tsv"),
  srclip: SHIPPED_SRCLIP,
  kind: "blur",
  by: undefined,
  perplexity: 30,
  seed: 0,
  limit: 100,
};

describe("visualize refuses in one line", () => {
  test("a table where a photograph is wanted, one that is missing, and the other way round", async () => {
    const table = at("table.tsv");
    await expect(runAttention({ ...attention, image: table }, context)).rejects.toThrow("is not an image but text");
    await expect(runFeatures({ ...network, image: table }, context)).rejects.toThrow("is not an image but text");
    await expect(runAttention({ ...attention, image: at("none.png") }, context)).rejects.toThrow(UserError);
    await expect(runTsne({ ...plot, data: at("photo.png") }, context)).rejects.toThrow(
      "photo.png is no table: give a TSV of many images, or a folder of them",
    );
    await expect(runTsne({ ...plot, data: at("none.tsv") }, context)).rejects.toThrow(
      "none.tsv does not exist: check the path",
    );
  });

  test("too few images for a perplexity, with one that would do", async () => {
    await expect(runTsne(plot, context)).rejects.toThrow(
      "8 images for a perplexity of 30, which needs 91: --perplexity 2 would do, or give more images",
    );
    await expect(runTsne({ ...plot, limit: 3 }, context)).rejects.toThrow(
      "3 images for a perplexity of 30, which needs 91: give at least 4 images",
    );
    await expect(runTsne({ ...plot, perplexity: 0 }, context)).rejects.toThrow("--perplexity 0 must be a number");
  });

  test("labels that are not there, or hold no level", async () => {
    const byLabel = { ...plot, by: "label", perplexity: 2 } as const;
    await expect(runTsne({ ...byLabel, data: at("tree") }, context)).rejects.toThrow(
      "--by label: the images of a folder have no labels",
    );
    await expect(runTsne(byLabel, context)).rejects.toThrow('the label of blur: "sharp" does not end in a number');
  });

  test("a model without the part that is shown", async () => {
    await expect(runAttention({ ...attention, srclip: network.model }, context)).rejects.toThrow(
      "an SRCLIP with features for single degradations is needed",
    );
    await expect(runTsne({ ...plot, perplexity: 2, srclip: network.model }, context)).rejects.toThrow(
      "an SRCLIP with features for single degradations is needed",
    );
    const filters = { ...common, srclip: network.model, tower: "adaptor" } as const;
    await expect(runFilters(filters, context)).rejects.toThrow(
      "an SRCLIP with features for single degradations is needed",
    );
    await expect(runFilters({ ...filters, srclip: at("photo.png") }, context)).rejects.toThrow(UserError);
    await expect(runFusion(network, context)).rejects.toThrow("dat.safetensors is a DAT, which has no fusion");
    await expect(runFeatures({ ...network, model: SHIPPED_SRCLIP }, context)).rejects.toThrow(
      "a DAT or RealDAT is needed",
    );
  });

  test("squares outside of the photograph, and pictures that are there", async () => {
    await expect(runAttention({ ...attention, square: "4000,0" }, context)).rejects.toThrow(
      /--square 4000,0 must be x,y with x from 0 to \d+ and y from 0 to \d+/,
    );
    await expect(runAttention({ ...attention, square: "middle" }, context)).rejects.toThrow(UsageError);
    mkdirSync(common.out, { recursive: true });
    writeFileSync(join(common.out, "photo_attention.png"), "");
    await expect(runAttention(attention, context)).rejects.toThrow(
      "photo_attention.png exists: choose another name, or --overwrite to replace it",
    );
  });
});
