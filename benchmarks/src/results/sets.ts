/** The test sets: pairs whose low-quality image is bicubic, real pairs, degraded squares, and real images that nobody knows the original of. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { imresize } from "@deplsr/degradation";
import { type Device, noGrad, scope } from "@deplsr/tensor";
import { crop, fromPlanes, toPlanes } from "../../../apps/cli/src/data/crop.ts";
import { type Image, readImage } from "../../../apps/cli/src/data/image.ts";
import { type DegradedSquare, degradedSquares, degradeSquare, sha256Of } from "./degraded.ts";

/** What is enlarged, and what it should become; null where nobody knows. */
export interface Pair {
  readonly lq: Image;
  readonly gt: Image | null;
}

/** An image of a set. */
export interface Case {
  readonly name: string;
  readonly load: () => Promise<Pair>;
}

/** A set at a scale. */
export interface TestSet {
  readonly title: string;
  /** What its images are: a sentence. */
  readonly about: string;
  readonly scale: number;
  readonly cases: readonly Case[];
}

/** Where the sets are, and how much of them is taken. */
export interface SetOptions {
  /** The folder of all sets. */
  readonly folder: string;
  /** What resizes and degrades. */
  readonly device: Device;
  /** The largest side of the originals, of which the middle is taken. */
  readonly side: number;
  /** Told of what is not as it was recorded. */
  readonly say: (line: string) => void;
}

/** Makes a set at a scale; null where the set has none at this scale. */
type SetMaker = (scale: number, options: SetOptions) => TestSet | null;

/** All sets, in the order of the page. */
export const TEST_SETS: Readonly<Record<string, SetMaker>> = {
  set5: bicubicSet("Set5", "set5", { whole: true }),
  bsd100: bicubicSet("BSD100", "bsd100"),
  urban100: bicubicSet("Urban100", "urban100"),
  kodak: bicubicSet("Kodak", "kodak"),
  light: degradedSet("light", "Lightly degraded", "made smaller, then a little blur, noise and JPEG"),
  heavy: degradedSet(
    "heavy",
    "Heavily degraded",
    "blur, resizing, noise and JPEG, twice, as in Real-ESRGAN but milder",
  ),
  city100,
  realsrset,
};

/** The middle square of an image, as large as `side` allows, its corner and sides on multiples of `scale`. */
export function middle(
  { width, height }: Pick<Image, "width" | "height">,
  side: number,
  scale: number,
): { readonly left: number; readonly top: number; readonly width: number; readonly height: number } {
  const along = (length: number): readonly [start: number, size: number] => {
    const size = Math.floor(Math.min(side, length) / scale) * scale;
    return [Math.floor((length - size) / 2 / scale) * scale, size];
  };
  const [[left, across], [top, down]] = [along(width), along(height)];
  return { left, top, width: across, height: down };
}

function images(folder: string): string[] {
  return existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => /\.(png|jpe?g)$/i.test(name))
        .sort()
    : [];
}

/** Which part of the images is taken, as the heading says it. */
function partOf(count: number, side: number): string {
  return `${count} images, the middle ${side} x ${side} pixels of each, or all there is`;
}

/** Originals in `HR` or the folder itself; the low-quality images are those of `LR_bicubic` where there are some, else made as MATLAB does. */
function bicubicSet(title: string, name: string, { whole = false } = {}): SetMaker {
  return (scale, { folder, device, side }) => {
    const set = join(folder, name);
    const originals = existsSync(join(set, "HR")) ? join(set, "HR") : set;
    const files = images(originals);
    const largest = whole ? Number.POSITIVE_INFINITY : side;
    const load = async (file: string): Promise<Pair> => {
      const image = await readImage(join(originals, file));
      const stored = join(set, "LR_bicubic", `X${scale}`, `${file.replace(/\.\w+$/, "")}x${scale}.png`);
      const cut = middle(image, largest, scale);
      const small = existsSync(stored) ? await readImage(stored) : await smaller(device, image, scale);
      return { gt: crop(image, cut), lq: crop(small, shrunk(cut, scale)) };
    };
    return {
      title,
      about: whole ? `${files.length} images` : partOf(files.length, side),
      scale,
      cases: files.map((file) => ({ name: file, load: () => load(file) })),
    };
  };
}

/** A rectangle of an image that is `scale` times smaller. */
function shrunk({ left, top, width, height }: ReturnType<typeof middle>, scale: number): ReturnType<typeof middle> {
  return { left: left / scale, top: top / scale, width: width / scale, height: height / scale };
}

/** An image made smaller as MATLAB's `imresize` does with bytes, its sides cut to multiples of the scale. */
async function smaller(device: Device, image: Image, scale: number): Promise<Image> {
  const whole = middle(image, Number.POSITIVE_INFINITY, scale);
  const { width, height } = whole;
  const planes = toPlanes([crop(image, { ...whole, left: 0, top: 0 })]);
  using small = noGrad(() =>
    scope(() => imresize(device.tensor(planes, [1, 3, height, width]), 1 / scale, { form: "uint8" })),
  );
  return fromPlanes(await small.data(), width / scale, height / scale)[0]!;
}

function degradedSet(kind: DegradedSquare["kind"], title: string, how: string): SetMaker {
  return (scale, { folder, device, say }) => {
    const squares = degradedSquares().filter(
      (square) => square.kind === kind && square.draw.scale === scale && existsSync(join(folder, square.image)),
    );
    const load = async (square: DegradedSquare): Promise<Pair> => {
      const { image, left, top, side, sha256 } = square;
      const gt = crop(await readImage(join(folder, image)), { left, top, width: side, height: side });
      const lq = await degradeSquare(device, gt, square.draw);
      if (sha256Of(lq) !== sha256) say(`${image}: the ${kind} square at x${scale} differs from the one recorded`);
      return { lq, gt };
    };
    return {
      title,
      about: `${squares.length} squares of ${squares[0]?.side ?? 0} pixels out of Kodak, BSD100 and Urban100: ${how}`,
      scale,
      cases: squares.map((square) => ({ name: square.image, load: () => load(square) })),
    };
  };
}

/** Photographs of postcards with two lenses, brought to one size: the wide one's, halved, is what the other saw twice as large. */
function city100(scale: number, { folder, side }: SetOptions): TestSet | null {
  if (scale !== 2) return null;
  const cameras = ["iphonex", "nikon"].map((camera) => join("city100", camera));
  const files = cameras.flatMap((camera) => images(join(folder, camera)).map((file) => join(camera, file)));
  const originals = files.filter((file) => file.endsWith("H.png"));
  const load = async (file: string): Promise<Pair> => {
    const gt = await readImage(join(folder, file));
    const wide = await readImage(join(folder, file.replace(/H\.png$/, "L.png")));
    const cut = middle(gt, side, scale);
    return { gt: crop(gt, cut), lq: halved(crop(wide, cut)) };
  };
  return {
    title: "City100",
    about: `real pairs of two lenses; ${partOf(originals.length, side)}`,
    scale,
    cases: originals.map((file) => ({ name: file, load: () => load(file) })),
  };
}

/** The mean of every 2 x 2 pixels. */
export function halved({ width, height, data }: Image): Image {
  const [w, h] = [width >> 1, height >> 1];
  const result = new Uint8Array(w * h * 3);
  for (let i = 0; i < result.length; i++) {
    const [x, y] = [Math.floor(i / 3) % w, Math.floor(i / 3 / w)];
    const at = (2 * y * width + 2 * x) * 3 + (i % 3);
    const below = at + 3 * width;
    result[i] = Math.round((data[at]! + data[at + 3]! + data[below]! + data[below + 3]!) / 4);
  }
  return { width: w, height: h, data: result };
}

/** Images whose originals nobody has. Results of x2 are as large as other sets' originals. */
function realsrset(scale: number, { folder, side }: SetOptions): TestSet {
  const set = join(folder, "real_lr");
  const files = images(set);
  const load = async (file: string): Promise<Pair> => {
    const image = await readImage(join(set, file));
    return { lq: crop(image, middle(image, side / 2, 1)), gt: null };
  };
  return {
    title: "RealSRSet",
    about: `without originals; ${partOf(files.length, side / 2)}`,
    scale,
    cases: files.map((file) => ({ name: file, load: () => load(file) })),
  };
}
