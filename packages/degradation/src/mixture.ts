/**
 * Training pairs of several kinds in one batch: only made smaller; lightly degraded after that; heavily degraded by the second-order synthesis.
 */
import { interpolate, Rng, ShapeError, type Tensor } from "@deplsr/tensor";
import { type Augmentation, augment, drawAugmentation } from "./augment.ts";
import { choose, OptionChecks } from "./chance.ts";
import { inGroups } from "./groups.ts";
import { roundTo255Levels } from "./levels.ts";
import { cropPairs, degradeSecondOrder, type TrainingPair } from "./second-order.ts";
import { drawSecondOrder, type SecondOrderDraw, type SecondOrderOptions } from "./second-order-draw.ts";
import { degradeSemantic } from "./semantic.ts";
import { drawSemantic, type SemanticDraw, type SemanticOptions } from "./semantic-draw.ts";

/** Shares of the three kinds, which sum to 1. */
export interface MixtureShares {
  readonly clean: number;
  readonly light: number;
  readonly heavy: number;
}

/** What a mixture is drawn from. */
export interface MixtureOptions {
  readonly shares: MixtureShares;
  /** The low-quality image of a light pair after it was made smaller; `lqSize`, `useHflip` and `useRot` do not count. */
  readonly light: SemanticOptions;
  /** Of a heavy pair; its `scale`, `gtSize`, `useHflip` and `useRot` are those of all pairs. */
  readonly heavy: SecondOrderOptions;
}

/** How the low-quality image of a pair is made. */
export type MixtureWay =
  | { readonly kind: "clean" }
  | { readonly kind: "light"; readonly draw: SemanticDraw }
  | { readonly kind: "heavy"; readonly draw: SecondOrderDraw };

/** Everything that was drawn for one pair; plain JSON. */
export type MixtureDraw = Pick<SecondOrderDraw, "scale" | "crop"> & {
  readonly augment: Augmentation;
  readonly way: MixtureWay;
};

/**
 * Draws a batch of `count` pairs out of squares of `side` pixels. Heavy ones share their changes of size, as in `drawSecondOrder`; the draw of
 * a pair does not depend on `count`.
 *
 * @throws RangeError of one line for options that do not fit together
 */
export function drawMixture(
  seed: number,
  { count, side }: { readonly count: number; readonly side: number },
  options: MixtureOptions,
): MixtureDraw[] {
  const { shares, light, heavy } = options;
  const { scale, gtSize } = heavy;
  const checks = new OptionChecks("drawMixture");
  const values = [shares.clean, shares.light, shares.heavy];
  checks.shares("shares", values, 3);
  checks.that(Number.isInteger(side / scale), "side", side, `a multiple of the scale ${scale}`);
  checks.that(gtSize === null || gtSize <= side, "gtSize", gtSize ?? 0, `at most the side ${side}`);
  const plain = { gtSize: null, useHflip: false, useRot: false };
  const root = new Rng(seed);
  const heavies = drawSecondOrder(seed, count, { ...heavy, ...plain });
  return Array.from({ length: count }, (_, i) => {
    const rng = root.fork("mixture").fork(i);
    const kind = choose(rng, ["clean", "light", "heavy"] as const, values);
    const seedOfLight = rng.integer(2 ** 32);
    const lightly = (): SemanticDraw =>
      drawSemantic(seedOfLight, { ...light, lqSize: side / scale, useHflip: false, useRot: false });
    return {
      scale,
      augment: drawAugmentation(rng, heavy),
      crop: gtSize === null ? null : { size: gtSize, ...drawPlace(rng, (side - gtSize) / scale) },
      way: kind === "clean" ? { kind } : kind === "light" ? { kind, draw: lightly() } : { kind, draw: heavies[i]! },
    };
  });
}

/**
 * The place of a square with `room` pixels around it, as shares of these: half of the time the corner is one of JPEG's blocks, as in
 * photographs that come out of a camera, else it is anywhere, as in those that were cut since.
 */
function drawPlace(rng: Rng, room: number): { top: number; left: number } {
  const onGrid = rng.uniform() < 0.5;
  const place = (): number => (onGrid ? (8 * rng.integer(Math.floor(room / 8) + 1) + 0.5) / (room + 1) : rng.uniform());
  return { top: place(), left: place() };
}

/**
 * Degrades a batch: square `images (b, 3, h, h)` RGB in [0, 1] and one draw for each → pairs, turned and cut as drawn. All low-quality images have
 * 256 levels. Clean and light ones are made smaller by cubic interpolation with a = −0.5 and a filter that widens, as MATLAB's `imresize` does.
 *
 * A pair depends on its own draw alone, not on the batch it is in: the same draw gives the same bytes again on one device.
 *
 * @throws ShapeError when the draws do not fit the batch, or the images are too small for their draws
 */
export function degradeMixture(images: Tensor, draws: readonly MixtureDraw[]): TrainingPair {
  const [b, c, h = 0, w = 0] = images.shape;
  const scale = draws[0]?.scale ?? 1;
  if (images.rank !== 4 || c !== 3 || h !== w || h % scale !== 0 || b !== draws.length || b === 0) {
    throw new ShapeError(
      `degradeMixture: images [${images.shape.join(", ")}] must be (b, 3, h, h) with h a multiple of the scale ${scale} and one draw each, got ${draws.length} draws`,
    );
  }
  const gt = augment(
    images,
    draws.map((draw) => draw.augment),
  );
  const ways = draws.map(({ way }) => way);
  const lq = inGroups(
    gt,
    ways.map(({ kind }) => kind),
    (part, indices) =>
      roundTo255Levels(
        degradeAlike(
          part,
          indices.map((i) => ways[i]!),
          h / scale,
        ),
      ),
  );
  return cropPairs({ lq, gt }, draws);
}

/** Degrades images of one kind. @param side of the results */
function degradeAlike(images: Tensor, ways: readonly MixtureWay[], side: number): Tensor {
  const heavy = ways.flatMap((way) => (way.kind === "heavy" ? [way.draw] : []));
  if (heavy.length > 0) return degradeSecondOrder(images, heavy).lq;
  const smaller = interpolate(images, { mode: "bicubic", size: [side, side], antialias: true, cubicA: -0.5 });
  const light = ways.flatMap((way) => (way.kind === "light" ? [way.draw] : []));
  return light.length > 0 ? degradeSemantic(smaller, light) : smaller;
}
