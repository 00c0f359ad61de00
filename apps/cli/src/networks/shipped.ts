/** The models in the box, by name. */
import { fileURLToPath } from "node:url";
import { MODELS, type ShippedModel, shippedModel } from "@deplsr/models";

/** The file of a model in the box; null where none has that name. */
export function shippedFile(name: string): string | null {
  const model = shippedModel(name);
  return model ? fileURLToPath(model.weights) : null;
}

/** The name of the SRCLIP in the box. */
export const SHIPPED_SRCLIP: string = nameOf(({ kind }) => kind === "srclip");

/** The name of the network in the box that enlarges by what is wanted: the smallest scale that reaches it, else the largest there is. */
export function shippedNetwork(wanted: number | undefined): string {
  const scales = MODELS.flatMap(({ kind, scale }) => (kind === "sr" && scale !== null ? [scale] : [])).sort(
    (a, b) => a - b,
  );
  const scale = scales.find((s) => s >= (wanted ?? 0)) ?? scales.at(-1);
  return nameOf((model) => model.kind === "sr" && model.scale === scale);
}

/** The models' names, for messages. */
export function shippedNames(): string {
  return MODELS.map(({ name }) => name).join(", ");
}

function nameOf(fits: (model: ShippedModel) => boolean): string {
  return MODELS.find(fits)!.name;
}
