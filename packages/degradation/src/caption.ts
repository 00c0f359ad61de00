/** Captions of degradations: the sentence that a data set stores, and the five labels that a model learns to tell apart. */

/** The levels of an image's degradations, as they are drawn or as a caption tells them (rounded to one decimal). */
export interface DegradationLevels {
  /** Standard deviation of the blur in pixels; 0 for none. */
  readonly blurSigma: number;
  /** Standard deviation of the Gaussian noise in steps of 255, or the Poisson noise's scale; null where neither was added. */
  readonly noise:
    | { readonly type: "gaussian"; readonly sigma: number }
    | { readonly type: "poisson"; readonly scale: number }
    | null;
  /** JPEG quality factor. */
  readonly quality: number;
  /** Whether the final sinc filter was applied. */
  readonly ringing: boolean;
}

/** The five things that are told apart, in the order of their labels. */
export const FINE_FEATURES = ["blur", "gaussian", "poisson", "jpeg", "ringing"] as const;

const BLUR = "blur with sigma";
const GAUSSIAN = "gaussian noise with sigma";
const POISSON = "poisson noise with scale";
const JPEG = "jpeg with quality factor";
const RINGING = "ringing and overshoot artifacts";

/** How an absent noise is written in its fine label. */
export interface ZeroTexts {
  readonly gaussian?: string;
  readonly poisson?: string;
}

/** The parts of the caption in their order: blur, noise, JPEG, and ringing where there is any. */
export function captionParts(levels: DegradationLevels): string[] {
  const { noise } = levels;
  const parts = [`${BLUR}:${oneDecimal(levels.blurSigma)}`];
  if (noise?.type === "gaussian") parts.push(`${GAUSSIAN}:${oneDecimal(noise.sigma)}`);
  if (noise?.type === "poisson") parts.push(`${POISSON}:${oneDecimal(noise.scale)}`);
  parts.push(`${JPEG}:${oneDecimal(levels.quality)}`);
  if (levels.ringing) parts.push(RINGING);
  return parts;
}

/** The whole caption, e.g. `blur with sigma:1.2,gaussian noise with sigma:12.3,jpeg with quality factor:55.0`. */
export function degradationCaption(levels: DegradationLevels): string {
  return captionParts(levels).join(",");
}

/**
 * The five fine labels, in the order of `FINE_FEATURES`. An absent noise is a level of zero, whose text is an option: the evaluation's
 * prompts write `0` for the Gaussian one and `0.0` for the Poisson one, which is the default.
 */
export function fineLabels(levels: DegradationLevels, zero: ZeroTexts = {}): [string, string, string, string, string] {
  const { noise } = levels;
  const gaussian = noise?.type === "gaussian" ? oneDecimal(noise.sigma) : (zero.gaussian ?? "0");
  const poisson = noise?.type === "poisson" ? oneDecimal(noise.scale) : (zero.poisson ?? "0.0");
  return [
    `${BLUR}:${oneDecimal(levels.blurSigma)}`,
    `${GAUSSIAN}:${gaussian}`,
    `${POISSON}:${poisson}`,
    `${JPEG}:${oneDecimal(levels.quality)}`,
    levels.ringing ? RINGING : `no ${RINGING}`,
  ];
}

/**
 * Reads a caption back. Parts may be missing except blur and JPEG; their order does not matter.
 *
 * @throws Error of one line that names the part which is not understood, is there twice or is missing
 */
export function parseCaption(caption: string): DegradationLevels {
  const levels = new Map<string, number>();
  let ringing = false;
  for (const part of caption.split(",").map((text) => text.trim())) {
    const [, name, level] = /^(.*?):\s*(\d+(?:\.\d+)?)$/.exec(part) ?? [];
    const key = name === undefined ? part : name;
    const known = name === undefined ? key === RINGING : [BLUR, GAUSSIAN, POISSON, JPEG].includes(key);
    if (!known) throw new Error(`caption: "${part}" is not a degradation, as "${BLUR}:1.2" is`);
    if (levels.has(key)) throw new Error(`caption: "${key}" is there twice`);
    levels.set(key, Number(level));
    ringing ||= key === RINGING;
  }
  const [blurSigma, sigma, scale, quality] = [BLUR, GAUSSIAN, POISSON, JPEG].map((name) => levels.get(name));
  if (blurSigma === undefined) throw new Error(`caption: "${caption}" has no "${BLUR}:..."`);
  if (quality === undefined) throw new Error(`caption: "${caption}" has no "${JPEG}:..."`);
  if (sigma !== undefined && scale !== undefined) throw new Error(`caption: "${caption}" has two kinds of noise`);
  const noise = sigma !== undefined ? ({ type: "gaussian", sigma } as const) : poissonNoise(scale);
  return { blurSigma, noise, quality, ringing };
}

/** The number after the last colon of a label. Throws an `Error` when there is none. */
export function labelValue(label: string): number {
  const text = label.slice(label.lastIndexOf(":") + 1).trim();
  const value = Number(text);
  if (!label.includes(":") || text === "" || !Number.isFinite(value)) {
    throw new Error(`label: "${label}" does not end in ":" and a number`);
  }
  return value;
}

function poissonNoise(scale: number | undefined): DegradationLevels["noise"] {
  return scale === undefined ? null : { type: "poisson", scale };
}

/**
 * One decimal, of two equally near ones the even one, as the reference formats (0.25 → 0.2). `toFixed` rounds ties up, and the only
 * ties that a binary fraction can have here end in .25 and .75.
 */
function oneDecimal(value: number): string {
  return (value * 4) % 4 === 1 ? (value - 0.05).toFixed(1) : value.toFixed(1);
}
