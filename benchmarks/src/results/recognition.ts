/** How well SRCLIP tells the five degradations of photographs, where every level of the prompts is as frequent as any other. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { drawSemantic, SEMANTIC_OPTIONS, type SemanticDraw } from "@deplsr/degradation";
import { SingleProcess } from "@deplsr/distributed";
import { DEGRADATION_KINDS, degradationLevel } from "@deplsr/srclip";
import { type Device, Rng } from "@deplsr/tensor";
import { planImages } from "../../../apps/cli/src/degrade/plan.ts";
import { synthesize } from "../../../apps/cli/src/degrade/synthesize.ts";
import { type Evaluation, evaluateSrclip } from "../../../apps/cli/src/evaluate/evaluate.ts";
import { TRAINING_STYLE } from "../../../apps/cli/src/evaluate/protocol.ts";
import { loadSrclip } from "../../../apps/cli/src/networks/srclip.ts";
import type { Output } from "../../../apps/cli/src/output.ts";

/** Shares of right answers for one degradation. */
export interface Recognition {
  readonly name: string;
  readonly accuracy: number;
  /** Guessing, and always giving the best single answer. */
  readonly chance: number;
  readonly constant: number;
  readonly images: number;
}

/** An image has one noise: half of the squares have Gaussian noise of its levels, the others Poisson noise of its. */
export type Noise = "gaussian" | "poisson";

/** Side of the squares in pixels, as those that SRCLIP learns from. */
const SIDE = 96;
const SEED = 15;

/** The levels of a degradation that its prompts name. */
export function levelsOfPrompts(name: string): number[] {
  return DEGRADATION_KINDS.find((kind) => kind.name === name)!.prompts.map(degradationLevel);
}

/** Degradations of a square with one of the prompts' levels of each kind, all of them equally likely. */
export function drawEvenly(seed: number, noise: Noise): SemanticDraw {
  const rng = new Rng(seed).fork("levels");
  const one = (name: string): number => {
    const levels = levelsOfPrompts(name);
    return levels[rng.integer(levels.length)]!;
  };
  const exactly = (level: number): [number, number] => [level, level];
  const [blur, strength, quality] = [one("blur"), one(noise), one("jpeg")];
  return drawSemantic(seed, {
    ...SEMANTIC_OPTIONS,
    lqSize: SIDE,
    blurSigma: [blur, blur + 0.05, 0.1],
    gaussianNoiseProb: noise === "gaussian" ? 1 : 0,
    poissonNoiseProb: noise === "poisson" ? 1 : 0,
    noiseRange: exactly(noise === "gaussian" ? strength : 0),
    poissonScaleRange: exactly(noise === "poisson" ? strength : 0),
    jpegRange: exactly(quality),
    finalSincProb: rng.integer(2),
  });
}

/**
 * Degrades squares of photographs and asks an SRCLIP about them, in the words of its training. Each noise is judged on the squares that have it, the others
 * on all.
 *
 * @param each squares of a photograph with each noise
 */
export async function measureRecognition(
  device: Device,
  srclip: string,
  photographs: readonly string[],
  { each, output }: { readonly each: number; readonly output: Output },
): Promise<Recognition[]> {
  const folder = await mkdtemp(join(tmpdir(), "deplsr-results-"));
  try {
    const model = await loadSrclip(device, srclip);
    const found = new Map<Noise, Evaluation>();
    for (const noise of ["gaussian", "poisson"] as const) {
      const table = join(folder, `${noise}.tsv`);
      const records = join(folder, `${noise}.jsonl`);
      const plans = planImages({
        sources: photographs.map((path) => ({ path, name: basename(path).replace(/\.\w+$/, "") })),
        count: each,
        square: SIDE,
        seed: SEED,
        draw: (seed) => ({ pipeline: "semantic", chain: "reference", draw: drawEvenly(seed, noise) }),
        folder: join(folder, noise),
        originals: null,
        records,
      });
      const captions = { known: () => "a photo", ask: async () => "a photo" };
      const request = { plans, records, table, captions, fallback: "a photo", leastSide: SIDE, batchSize: 24, jobs: 1 };
      await synthesize(device, request, { output, group: new SingleProcess() });
      const how = { data: table, style: TRAINING_STYLE, imageFit: "crop", batchSize: 48, output } as const;
      found.set(noise, await evaluateSrclip(model, how));
    }
    return recognitionOf(found.get("gaussian")!, found.get("poisson")!);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** One table of two evaluations over as many images: of squares with Gaussian noise, and with Poisson noise. */
export function recognitionOf(
  gaussian: Pick<Evaluation, "accuracy" | "chance" | "constant" | "images">,
  poisson: Pick<Evaluation, "accuracy" | "chance" | "constant" | "images">,
): Recognition[] {
  return DEGRADATION_KINDS.map(({ name }) => {
    const used = name === "gaussian" ? [gaussian] : name === "poisson" ? [poisson] : [gaussian, poisson];
    const images = used.reduce((sum, evaluation) => sum + evaluation.images, 0);
    const share = (of: "accuracy" | "chance" | "constant"): number =>
      used.reduce((sum, evaluation) => sum + evaluation[of][name]! * evaluation.images, 0) / images;
    return { name, accuracy: share("accuracy"), chance: share("chance"), constant: share("constant"), images };
  });
}
