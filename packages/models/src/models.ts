/** A trained network of this package. */
export interface ShippedModel {
  /** What `deplsr --model` calls it, such as `realdat-x2`. */
  readonly name: string;
  /** Its kind: a super-resolution network, or one that tells degradations. */
  readonly kind: "sr" | "srclip";
  /** By how much it enlarges; null for one that does not. */
  readonly scale: number | null;
  /** One line on what it is for. */
  readonly about: string;
  /** The file of weights, safetensors with halves; it says itself which network it holds. */
  readonly weights: URL;
  /** What it is, how it was made and how good it is: Markdown. */
  readonly card: URL;
}

const model = (name: string, kind: ShippedModel["kind"], scale: number | null, about: string): ShippedModel => ({
  name,
  kind,
  scale,
  about,
  weights: new URL(`../weights/${name}.safetensors`, import.meta.url),
  card: new URL(`../cards/${name}.md`, import.meta.url),
});

/** Everything there is, the default of each kind and scale first. */
export const MODELS: readonly ShippedModel[] = [
  model("realdat-x2", "sr", 2, "photographs as people have them, twice as large"),
  model("realdat-x4", "sr", 4, "photographs as people have them, four times as large"),
  model("srclip", "srclip", null, "how blurred, noisy, compressed and ringing a photograph is"),
];

/** The model of a name; undefined where there is none. */
export function shippedModel(name: string): ShippedModel | undefined {
  return MODELS.find((model) => model.name === name);
}

/**
 * The features of the prompts that the SRCLIP of this package is asked with about photographs, safetensors: a tensor (prompts, features) of each kind of
 * degradation, rows of length 1; the metadata `prompts` has the texts, as JSON by kind.
 */
export const DIAGNOSIS_PROMPTS: URL = new URL("../weights/srclip-prompts.safetensors", import.meta.url);
