/** What is made of which photograph: one plan for every image, drawn before anything is read, so that it follows from seed and names alone. */
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import {
  type Chain,
  drawSecondOrder,
  drawSemantic,
  type SecondOrderDraw,
  type SecondOrderOptions,
  type SemanticDraw,
  type SemanticOptions,
} from "@deplsr/degradation";
import { Rng } from "@deplsr/tensor";
import { refuseSharedNames, type Source } from "../data/sources.ts";
import { UserError } from "../errors.ts";
import { counted } from "../output.ts";

/** How an image is degraded. */
export type Recipe =
  | { readonly pipeline: "semantic"; readonly chain: Chain; readonly draw: SemanticDraw }
  | { readonly pipeline: "second-order"; readonly draw: SecondOrderDraw };

/** A square to be cut out of a photograph; its place is a share of the room there is. */
export interface Square {
  readonly size: number;
  readonly left: number;
  readonly top: number;
}

/** Everything that an image is made of; plain JSON. Paths that are not absolute count from the folder of the records. */
export type Plan = Recipe & {
  readonly out: string;
  readonly in: string;
  /** Null where the whole photograph is taken. */
  readonly square: Square | null;
  /** Where the square itself is kept, for pairs. */
  readonly original?: string;
};

/** What is planned for every photograph. */
export interface PlanOptions {
  /** What is drawn for an image follows from the photograph's name and the seed. */
  readonly sources: readonly Source[];
  /** Degraded versions of each photograph. */
  readonly count: number;
  /** Side of the squares that are cut out; null takes the whole photograph. */
  readonly square: number | null;
  readonly seed: number;
  /** Draws an image's recipe from a seed of its own. */
  readonly draw: (seed: number) => Recipe;
  /** Folder of the degraded images. */
  readonly folder: string;
  /** Folder of the squares; null keeps none. */
  readonly originals: string | null;
  /** The file of the records. */
  readonly records: string;
}

/** More versions are not made in one run: plans and records of all images are in memory, about 4 KB each. */
const MOST_IMAGES = 500_000;

/** The plans, photograph by photograph. @throws UserError when there are too many, two have one file, or one would be written over a photograph */
export function planImages(options: PlanOptions): Plan[] {
  const { sources, count, square, seed, draw, folder, originals, records } = options;
  const base = dirname(records);
  const images = sources.length * count;
  if (count > 1 && images > MOST_IMAGES) {
    throw new UserError(
      `degrade: --count ${count} of ${counted(sources.length, "photograph")} makes ${images} images, more than ${MOST_IMAGES} in one run: ` +
        "make several smaller sets, each with its own --seed and --out",
    );
  }
  refuseSharedNames(sources, (name) => `${join(folder, name)}.png`);
  const photographs = new Set(sources.map(({ path }) => resolve(path)));
  const place = (where: string, file: string): string => {
    const path = join(where, file);
    if (photographs.has(resolve(path))) throw new UserError(`output: ${path} is a photograph: write to another folder`);
    return relative(base, path);
  };
  return sources.flatMap(({ path, name }) => {
    const rng = new Rng(seed).fork("images").fork(name);
    return Array.from({ length: count }, (_, i): Plan => {
      const file = `${name}${count > 1 ? `_${String(i + 1).padStart(3, "0")}` : ""}.png`;
      const own = rng.fork(i);
      const chance = own.fork("square");
      return {
        out: place(folder, file),
        in: isAbsolute(path) ? path : relative(base, path),
        ...draw(own.integer(2 ** 31)),
        square: square === null ? null : { size: square, left: chance.uniform(), top: chance.uniform() },
        ...(originals === null ? {} : { original: place(originals, file) }),
      };
    });
  });
}

/** Draws recipes of the semantic-driven pipeline. @param adjust changes what was drawn, for instance to rounder levels */
export function semanticRecipes(
  options: SemanticOptions,
  chain: Chain,
  adjust = (draw: SemanticDraw): SemanticDraw => draw,
): (seed: number) => Recipe {
  return (seed) => ({ pipeline: "semantic", chain, draw: adjust(drawSemantic(seed, options)) });
}

/** Draws recipes of the second-order pipeline. */
export function secondOrderRecipes(options: SecondOrderOptions): (seed: number) => Recipe {
  return (seed) => ({ pipeline: "second-order", draw: drawSecondOrder(seed, 1, options)[0]! });
}
