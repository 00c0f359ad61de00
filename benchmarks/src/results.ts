/** `npm run results`: how good the models are, into docs/results.md; see benchmarks/README.md. Exit 0 done, 1 failed, 2 wrong usage. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type NiqeModel, OWN_PRISTINE_MODEL, readNiqeModel } from "@deplsr/metrics";
import { Device } from "@deplsr/tensor";
import { crop } from "../../apps/cli/src/data/crop.ts";
import { type Image, readImage } from "../../apps/cli/src/data/image.ts";
import { oneLine } from "../../apps/cli/src/errors.ts";
import { Output } from "../../apps/cli/src/output.ts";
import { installPeers } from "./install.ts";
import { describeMachine } from "./machine.ts";
import { askForQuiet } from "./quiet.ts";
import { measureShifts } from "./results/chart.ts";
import { type Comparison, compareOn } from "./results/compare.ts";
import { interpolations, loadOurs, type OurModel, placeOf, upscalers } from "./results/enlargers.ts";
import { type PARTS, parseOptions, type ResultsOptions, UsageError, usage } from "./results/options.ts";
import { formatPage, type Results } from "./results/page.ts";
import { measureRecognition, type Recognition } from "./results/recognition.ts";
import { measureSeams, together } from "./results/seams.ts";
import { middle, TEST_SETS } from "./results/sets.ts";
import { measureSpeed } from "./results/speed.ts";

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Squares of each photograph with either noise that SRCLIP is asked about. */
const SQUARES = 24;
/** Pixels of the image and of the tiles that seams are looked for in. */
const [SEAM_SIDE, TILE] = [288, 96];

async function main(options: ResultsOptions): Promise<void> {
  if (options.parts.includes("time")) askForQuiet();
  const { folder, parts, out } = options;
  if (!existsSync(folder)) throw new UsageError(`${resolve(folder)} does not exist: name the folder of the test sets`);
  const peers = peersFolder(options);
  const machine = describeMachine();
  const device = await Device.request({ backend: "cpu" });
  const models: OurModel[] = [];
  for (const name of options.models) models.push(await loadOurs(device, name, options.srclip));
  const niqeModel = await niqeModelOf(folder);
  /** What is found of a part that is wanted; one that fails does not take the others with it. */
  const part = async <T>(name: (typeof PARTS)[number], measure: () => Promise<readonly T[]>): Promise<readonly T[]> => {
    if (!parts.includes(name)) return [];
    try {
      return await measure();
    } catch (error) {
      say(`${name}: ${oneLine(error)}`);
      process.exitCode = 1;
      return [];
    }
  };
  const results: Results = {
    machine,
    threads: `${Number(process.env.DEPLSR_THREADS) || availableParallelism()} threads`,
    command: ["npm run results", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(" "),
    models: models.map(({ name }) => name),
    peers: peers && versionsOf(peers),
    niqeModel: niqeModel.label,
    sets: await compareAll(device, models, peers, niqeModel, options),
    chart: await part("chart", () => perModel(models, "colours", ({ restorer }) => measureShifts(restorer))),
    tiles: await part("tiles", () => tilesOf(models, options)),
    recognition: await part("recognition", () => recognise(device, options)),
    time: await part("time", () => timesOf(models, folder)),
  };
  device.destroy();
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, formatPage(results));
  say(`written to ${out} and ${save(results)}`);
}

async function compareAll(
  device: Device,
  models: readonly OurModel[],
  peersAt: string | null,
  niqeModel: NiqeModel,
  { folder, parts, limit, side }: ResultsOptions,
): Promise<Comparison[]> {
  const found: Comparison[] = [];
  for (const scale of new Set(models.map((model) => model.scale))) {
    const peers = peersAt === null ? [] : upscalers(peersAt, scale);
    const ours = models.filter((model) => model.scale === scale);
    const contest = { ours, plain: interpolations(device, scale), peers, niqeModel, limit, say };
    try {
      for (const [name, make] of Object.entries(TEST_SETS)) {
        const set = parts.includes(name) ? make(scale, { folder, device, side, say }) : null;
        if (set === null) continue;
        if (set.cases.length === 0) say(`${set.title} x${scale}: no images below ${folder}`);
        else found.push(await compareOn(set, contest));
      }
    } finally {
      for (const peer of peers) peer.stop();
    }
  }
  return found;
}

/** What is measured of each model by itself, its rows with the model's name. */
async function perModel<T extends object>(
  models: readonly OurModel[],
  what: string,
  measure: (model: OurModel) => Promise<readonly T[]>,
): Promise<(T & { readonly model: string })[]> {
  const rows: (T & { readonly model: string })[] = [];
  for (const model of models) {
    rows.push(...(await measure(model)).map((row) => ({ ...row, model: model.name })));
    say(`${what} of ${model.name} measured`);
  }
  return rows;
}

async function tilesOf(models: readonly OurModel[], { folder, limit }: ResultsOptions): Promise<Results["tiles"]> {
  const inputs: Image[] = [];
  for (const path of photographs(folder).slice(0, limit)) {
    const photograph = await readImage(path);
    inputs.push(crop(photograph, middle(photograph, SEAM_SIDE, 1)));
  }
  return perModel(models, "tiles", async ({ restorer }) => {
    const found: Awaited<ReturnType<typeof measureSeams>> = [];
    for (const input of inputs) found.push(...(await measureSeams(restorer, input, TILE)));
    return (["cosine", "reference"] as const).map((blend) => ({
      blend,
      images: inputs.length,
      seams: together(found.filter((one) => one.blend === blend).map(({ seams }) => seams)),
    }));
  });
}

async function timesOf(models: readonly OurModel[], folder: string): Promise<Results["time"]> {
  const photograph = await readImage(photographs(folder)[0]!);
  return perModel(models, "time", async (model) => [await measureSpeed(model, photograph)]);
}

function recognise(device: Device, { srclip, folder, limit }: ResultsOptions): Promise<readonly Recognition[]> {
  const output = new Output("text", { stdout: process.stderr, stderr: process.stderr });
  return measureRecognition(device, placeOf(srclip), photographs(folder).slice(0, limit), { each: SQUARES, output });
}

/** Kodak's, which are photographs of many things, and free. @throws Error where there are none */
function photographs(folder: string): string[] {
  const names = Array.from({ length: 24 }, (_, i) => `kodim${String(i + 1).padStart(2, "0")}.png`);
  const found = names.map((name) => resolve(folder, "kodak", name)).filter((path) => existsSync(path));
  if (found.length === 0) throw new Error(`${join(folder, "kodak")} has no kodim*.png, of which this is measured`);
  return found;
}

/** NIQE's published model where the test sets have it, else ours. */
async function niqeModelOf(folder: string): Promise<NiqeModel> {
  const file = join(folder, "niqe", "niqe_pris_params.safetensors");
  return existsSync(file)
    ? readNiqeModel(readFileSync(file), "the published model, BasicSR's form")
    : OWN_PRISTINE_MODEL;
}

/** Where the peers are, installed if need be; null for none. */
function peersFolder({ peers, parts }: ResultsOptions): string | null {
  if (peers === null || !parts.some((part) => part in TEST_SETS)) return null;
  if (peers !== undefined) {
    const manifest = join(peers, "package.json");
    if (!existsSync(manifest))
      throw new UsageError(`--peers-folder: ${manifest} does not exist: take benchmarks/peers`);
    return resolve(peers);
  }
  installPeers(say);
  return fileURLToPath(new URL("../peers", import.meta.url));
}

function versionsOf(folder: string): string {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  const version = (name: string): string => `${name} ${manifest.dependencies[name] ?? "of another version"}`;
  return `UpscalerJS: ${version("@upscalerjs/esrgan-slim")} and ${version("@upscalerjs/esrgan-medium")} on ${version("@tensorflow/tfjs")} (wasm)`;
}

/** Every number of the run, as the benchmarks keep theirs. */
function save(results: Results): string {
  const { date, commit } = results.machine;
  const name = `${date.slice(0, 19).replaceAll(":", "-")}-results-${commit.replace("+", "-changed")}.json`;
  writeFileSync(new URL(`../results/${name}`, import.meta.url), `${JSON.stringify(results, null, 2)}\n`);
  return `benchmarks/results/${name}`;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(`${usage}\n`);
  else await main(options);
} catch (error) {
  process.stderr.write(`results: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
