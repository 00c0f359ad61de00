import { checkTensor, checkWhole, wrongArgument } from "../arguments.ts";
import { composed } from "../autograd.ts";
import { describe, ShapeError, shown } from "../errors.ts";
import { numel } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { permute, reshape } from "./view.ts";

/** One side of a pattern: the names that make up each axis; none is an axis of size 1. */
type Side = readonly (readonly string[])[];

const patterns = new Map<string, readonly [left: Side, right: Side]>();

function parse(pattern: string): readonly [left: Side, right: Side] {
  const known = patterns.get(pattern);
  if (known) return known;
  const fail = (reason: string): never => {
    throw new ShapeError(`rearrange: "${pattern}": ${reason}`);
  };
  const sides = pattern.split("->");
  if (sides.length !== 2) fail('a pattern is two lists of names around "->", such as "b (h w) c -> b c h w"');
  const [left, right] = sides.map((text) => parseSide(text, fail)) as [Side, Side];
  for (const side of [left, right]) {
    const names = side.flat();
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice) fail(`axis ${twice} stands twice on one side`);
  }
  const alone = (from: Side, to: Side): string | undefined => from.flat().find((name) => !to.flat().includes(name));
  const missing = alone(left, right) ?? alone(right, left);
  if (missing) fail(`axis ${missing} stands on one side only`);
  patterns.set(pattern, [left, right]);
  return [left, right];
}

function parseSide(text: string, fail: (reason: string) => never): Side {
  const axes: string[][] = [];
  let group: string[] | undefined;
  for (const token of text.match(/[()]|[^\s()]+/g) ?? []) {
    if (token === "(") {
      if (group) fail("groups do not nest");
      group = [];
      axes.push(group);
    } else if (token === ")") {
      if (!group) fail('")" without "("');
      group = undefined;
    } else if (token === "1") {
      if (!group) axes.push([]);
    } else if (/^[A-Za-z_]\w*$/.test(token)) {
      if (group) group.push(token);
      else axes.push([token]);
    } else {
      fail(`"${token}" is no name of an axis`);
    }
  }
  if (group) fail('"(" without ")"');
  return axes;
}

/** The size of every name, from the shape and what is given; at most one of a group is left to be divided out. */
function sizesOf(x: Tensor, pattern: string, left: Side, given: Readonly<Record<string, number>>): Map<string, number> {
  const fail = (reason: string): never => {
    throw new ShapeError(`rearrange: "${pattern}" of ${describe(x)}: ${reason}`);
  };
  const unknownName = Object.keys(given).find((name) => !left.flat().includes(name));
  if (unknownName) fail(`size given for ${unknownName}, which is no axis of the pattern`);
  if (left.length !== x.rank) fail(`the pattern has ${left.length} axes, the tensor ${x.rank}`);
  const sizes = new Map<string, number>();
  left.forEach((names, axis) => {
    const size = x.shape[axis]!;
    const open = names.filter((name) => given[name] === undefined);
    if (open.length > 1) fail(`give the size of ${open.slice(1).join(" and ")} to split dim ${axis} of ${size}`);
    const known = numel(names.filter((name) => given[name] !== undefined).map((name) => given[name]!));
    const rest = known === 0 ? 0 : size / known;
    if (!Number.isInteger(rest) || (open.length === 0 && known !== size)) {
      fail(
        `dim ${axis} of ${size} is not ${names.length === 0 ? "1" : names.map((name) => given[name] ?? name).join(" · ")}`,
      );
    }
    for (const name of names) sizes.set(name, given[name] ?? rest);
  });
  return sizes;
}

/**
 * Splits, reorders and joins axes by name: `rearrange(x, "b (h w) c -> b c h w", { h })`. Names in brackets share an axis, the
 * first of them outermost; `1` is an axis of size 1. Sizes that the shape does not give are arguments.
 * @throws ShapeError for a pattern that is wrong or does not fit.
 * @see https://openreview.net/forum?id=oapKSVM2bcj einops
 */
export function rearrange(x: Tensor, pattern: string, sizes: Readonly<Record<string, number>> = {}): Tensor {
  checkTensor("rearrange", "x", x);
  if (typeof pattern !== "string") throw wrongArgument("rearrange", "pattern", "a string", pattern);
  if (typeof sizes !== "object" || sizes === null) throw wrongArgument("rearrange", "sizes", "an object", sizes);
  for (const name in sizes) checkWhole("rearrange", `size ${name}`, sizes[name], 0);
  const [left, right] = parse(pattern);
  const all = sizesOf(x, pattern, left, sizes);
  const names = left.flat();
  return composed("rearrange", () => {
    const split = reshape(
      x,
      names.map((name) => all.get(name)!),
    );
    const moved = permute(
      split,
      right.flat().map((name) => names.indexOf(name)),
    );
    return reshape(
      moved,
      right.map((axis) => numel(axis.map((name) => all.get(name)!))),
    );
  });
}

function checkFactor(op: string, x: Tensor, factor: number): void {
  checkTensor(op, "x", x);
  if (x.rank < 3) throw new ShapeError(`${op}: takes x (…, c, h, w), got ${describe(x)}`);
  if (!Number.isInteger(factor) || factor < 1)
    throw new ShapeError(`${op}: factor ${shown(factor)} has to be a whole number of at least 1`);
}

/**
 * Turns channels into resolution: `x (…, c·r², h, w)` → `(…, c, h·r, w·r)`; channel `c·r² + i·r + j` goes to row i, column j of
 * each r x r cell. @see https://arxiv.org/abs/1609.05158
 */
export function pixelShuffle(x: Tensor, factor: number): Tensor {
  checkFactor("pixelShuffle", x, factor);
  const [channels, h, w] = x.shape.slice(-3) as [number, number, number];
  if (channels % factor ** 2 !== 0) {
    throw new ShapeError(
      `pixelShuffle: ${channels} channels of ${describe(x)} are no multiple of ${factor}² = ${factor ** 2}`,
    );
  }
  return composed("pixelShuffle", () => {
    const cells = reshape(x, [numel(x.shape.slice(0, -3)), channels / factor ** 2, factor, factor, h, w]);
    const image = permute(cells, [0, 1, 4, 2, 5, 3]);
    return reshape(image, [...x.shape.slice(0, -3), channels / factor ** 2, h * factor, w * factor]);
  });
}

/** The inverse of `pixelShuffle`: `x (…, c, h·r, w·r)` → `(…, c·r², h, w)`. */
export function pixelUnshuffle(x: Tensor, factor: number): Tensor {
  checkFactor("pixelUnshuffle", x, factor);
  const [channels, height, width] = x.shape.slice(-3) as [number, number, number];
  if (height % factor !== 0 || width % factor !== 0) {
    throw new ShapeError(`pixelUnshuffle: the image of ${describe(x)} cannot be cut into ${factor} x ${factor} cells`);
  }
  return composed("pixelUnshuffle", () => {
    const cells = reshape(x, [numel(x.shape.slice(0, -3)), channels, height / factor, factor, width / factor, factor]);
    const image = permute(cells, [0, 1, 3, 5, 2, 4]);
    return reshape(image, [...x.shape.slice(0, -3), channels * factor ** 2, height / factor, width / factor]);
  });
}
