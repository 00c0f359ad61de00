/** The command `models`. */
import { readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { MODELS, type ShippedModel, shippedModel } from "@deplsr/models";
import type { Context } from "../commands/command.ts";
import { nearest, UserError } from "../errors.ts";
import { shippedNames } from "../networks/shipped.ts";
import { table } from "../output.ts";

/** The flags of `deplsr models`. */
export interface ModelsFlags {
  readonly name: string | undefined;
}

/** Does what `deplsr models` asks for. */
export async function runModels({ name }: ModelsFlags, { output }: Context): Promise<void> {
  if (name === undefined) {
    const models = await Promise.all(MODELS.map(described));
    const rows = models.map(({ name, scale, bytes, about }) => [
      name,
      scale === null ? "" : `x${scale}`,
      `${(bytes / 1e6).toFixed(2)} MB`,
      about,
    ]);
    for (const line of table(["name", "scale", "size", "for"], rows)) output.line(line);
    output.line("deplsr models NAME shows the card of one; upscale, evaluate, inspect and convert take them by name");
    output.result({ models });
    return;
  }
  const model = shippedModel(name);
  if (!model) {
    const similar = nearest(
      name,
      MODELS.map((known) => known.name),
    );
    const hint = similar === undefined ? `there are ${shippedNames()}` : `is ${similar} meant?`;
    throw new UserError(`models: there is no model ${JSON.stringify(name)} in the box: ${hint}`);
  }
  const card = await readFile(model.card, "utf8");
  for (const line of card.trimEnd().split("\n")) output.line(line);
  output.result({ ...(await described(model)), card });
}

async function described({ name, kind, scale, about, weights }: ShippedModel) {
  const file = fileURLToPath(weights);
  return { name, kind, scale, about, file, bytes: (await stat(file)).size };
}
