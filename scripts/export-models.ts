/**
 * Takes the models in the box out of the folder of `train-models`: averages of the weights as halves, each network in a file that says what it is.
 * SRCLIP becomes two, its image side and its text side, the latter with the vectors of the tokens of its captions and prompts alone.
 *
 *     npm run export-models -- [FOLDER] [--out packages/models/weights] [--only MODEL ...]       default: runs/models
 */
import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Tokenizer } from "@deplsr/clip";
import { asHalf, selectWeights, writeSafetensorsFile } from "@deplsr/nn";
import type { SrCLIPV2Config } from "@deplsr/srclip";
import { type FileTensor, storedBytes } from "@deplsr/tensor";
import { parseTable } from "../apps/cli/src/data/tsv.ts";
import { ORIGINAL_STYLE, styledKinds, TRAINING_STYLE, templateOf } from "../apps/cli/src/evaluate/protocol.ts";
import { writeFileAtomic } from "../apps/cli/src/files.ts";
import type { SrDescription } from "../apps/cli/src/networks/sr.ts";
import { findModel, weightsOf, withTensorFile } from "../apps/cli/src/networks/weights-file.ts";
import {
  type ModelDescription,
  type ModelKind,
  metadataOf,
  readDescription,
} from "../apps/cli/src/train/checkpoint.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const { values, positionals } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "packages/models/weights") },
    only: { type: "string", multiple: true },
  },
  allowPositionals: true,
});
const runs = resolve(positionals[0] ?? join(root, "runs/models"));

/** What is written of a run. */
interface Part {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, FileTensor>;
  readonly description?: ModelDescription;
}

/** Writes the files that a run's best or newest checkpoint becomes. */
async function exportRun(
  run: string,
  kind: ModelKind,
  parts: (tensors: ReadonlyMap<string, FileTensor>, description: ModelDescription) => readonly Part[],
): Promise<void> {
  const place = await findModel(join(runs, run));
  if (!("folder" in place)) throw new Error(`${run} is no run`);
  const description = await readDescription(place.folder, kind);
  const path = await weightsOf(place);
  await withTensorFile(path, async (file) => {
    for (const part of parts(selectWeights(file).tensors, description)) await write(part, path);
  });
}

async function write({ file, tensors, description }: Part, from: string): Promise<void> {
  const halves = new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      asHalf(tensor, (_, count) => {
        throw new Error(`${from}: ${name}: ${count} values are beyond the range of halves`);
      }),
    ]),
  );
  let bytes = 0;
  await writeFileAtomic(join(values.out, file), (writePart) =>
    writeSafetensorsFile(
      halves,
      {
        write: async (part) => {
          await writePart(part);
          bytes += part.length;
        },
      },
      { format: "pt", ...(description ? metadataOf(description) : {}) },
    ),
  );
  console.log(`${from} -> ${file}: ${halves.size} tensors, ${bytes} bytes`);
}

/** The ids of all tokens of an SRCLIP's captions and of the prompts that it is asked with, ascending. */
function usedTokens(): number[] {
  const table = join(runs, "squares/train/rounded.tsv");
  const { rows } = parseTable(readFileSync(table, "utf8"), table, ["title"]);
  const captions = rows.flatMap(({ filepath: _, ...texts }) => Object.values(texts));
  const prompts = [ORIGINAL_STYLE, TRAINING_STYLE].flatMap((style) =>
    styledKinds(style).flatMap(({ prompts }) => prompts.map(templateOf(style))),
  );
  const tokenizer = new Tokenizer();
  const { startOfText, endOfText } = tokenizer.vocabulary;
  const ids = [...new Set([...captions, ...prompts])].flatMap((text) => tokenizer.encode(text));
  return [...new Set([...ids, startOfText, endOfText])].sort((a, b) => a - b);
}

/** The rows of a table that stand for some tokens. */
function rowsOf({ name, dtype, shape, read }: FileTensor, tokens: readonly number[]): FileTensor {
  const width = shape[1]!;
  const bytes = storedBytes(dtype);
  return {
    name,
    dtype,
    shape: [tokens.length, width],
    read: async (first, count) => {
      const from = Math.floor(first / width);
      const rows = tokens.slice(from, Math.ceil((first + count) / width));
      const whole = Buffer.concat(await Promise.all(rows.map((id) => read(id * width, width))));
      const start = (first - from * width) * bytes;
      return new Uint8Array(whole.subarray(start, start + count * bytes));
    },
  };
}

/** Whether a model is asked for, and has been trained in the folder. */
function isWanted(name: string): boolean {
  return (values.only ?? [name]).includes(name) && existsSync(join(runs, name));
}

const TABLE = "clip.token_embedding.weight";
const TEXTS = /^clip\.(positional_embedding|text_projection|transformer\.|token_embedding\.|ln_final\.)/;
const IMAGES_FILE = "srclip.safetensors";
const TEXTS_FILE = "srclip-text.safetensors";
const PROTOCOL = { ...TRAINING_STYLE, fit: "crop" } as const;

await mkdir(values.out, { recursive: true });
if (isWanted("srclip")) {
  await exportRun("srclip/checkpoints/best-accuracy", "srclip", (tensors, description) => {
    const tokens = usedTokens();
    const { clip, ...config } = description.config as unknown as SrCLIPV2Config;
    const trimmed = { ...config, clip: { ...clip, text: { ...clip.text, tokens } } };
    const all = [...tensors].map(([name, tensor]) => [name, name === TABLE ? rowsOf(tensor, tokens) : tensor] as const);
    return [
      {
        file: IMAGES_FILE,
        tensors: new Map(all.filter(([name]) => !TEXTS.test(name))),
        description: { kind: "srclip", config: trimmed, texts: TEXTS_FILE, protocol: PROTOCOL },
      },
      { file: TEXTS_FILE, tensors: new Map(all.filter(([name]) => TEXTS.test(name))) },
    ];
  });
}
for (const scale of [2, 4]) {
  const name = `realdat-x${scale}`;
  if (!isWanted(name)) continue;
  await exportRun(name, "sr", (tensors, description) => {
    const { prompt } = description.config as unknown as SrDescription;
    const config = { ...description.config, prompt: prompt && { ...prompt, srclip: IMAGES_FILE } };
    return [{ file: `${name}.safetensors`, tensors, description: { ...description, config } }];
  });
}
