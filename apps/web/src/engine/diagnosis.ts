/** What is wrong with a photo, for the five bars. */
import { diagnose, type KindDiagnosis, type RasterImage } from "@deplsr/restore";
import { DEGRADATION_KINDS, type SrCLIPV2 } from "@deplsr/srclip";
import type { Safetensors, Tensor } from "@deplsr/tensor";
import type { SeenDegradation } from "../client/api.ts";

/** The prompts that photos are compared with, on a device. */
export interface Prompts {
  /** By kind. */
  readonly texts: Readonly<Record<string, readonly string[]>>;
  readonly features: readonly Tensor[];
}

/** Loads their features, as `@deplsr/models` has them. */
export function loadPrompts({ tensors, metadata }: Safetensors, device: Tensor["device"]): Prompts {
  const texts = JSON.parse(metadata.prompts!) as Prompts["texts"];
  const features = Object.keys(texts).map((kind) => {
    const stored = tensors.get(kind)!;
    return device.tensor(stored.toFloat32(), stored.shape);
  });
  return { texts, features };
}

/** What an SRCLIP sees of each kind. */
export async function seenIn(
  srclip: SrCLIPV2,
  image: RasterImage,
  { texts, features }: Prompts,
): Promise<readonly SeenDegradation[]> {
  const kinds = DEGRADATION_KINDS.map((kind) => ({ ...kind, prompts: texts[kind.name]! }));
  const found = await diagnose(srclip, image, {
    prompt: { clipInput: "normalized", clipFit: "crop" },
    kinds,
    features,
  });
  return found.map(seen);
}

function seen({ name, level, probability, levels }: KindDiagnosis): SeenDegradation {
  const steps = [...levels.keys()];
  const share = steps.indexOf(level) / (steps.length - 1);
  // A quality is the better the higher it is.
  const severity = name === "jpeg" ? 1 - share : share;
  return { kind: name, level: levelForPeople(level, severity), severity, certainty: probability };
}

/** "sigma:15.0" as "sigma 15", "quality factor:50" as "quality 50"; "none" and, of what has no levels, "visible". */
function levelForPeople(level: string, severity: number): string {
  const [, name, value] = /^(\S+).*:(\S+)$/.exec(level) ?? [];
  if (value === undefined) return severity === 0 ? "none" : "visible";
  return Number(value) === 0 ? "none" : `${name} ${Number(value)}`;
}
