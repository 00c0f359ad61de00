/**
 * Writes the features of the prompts that photographs are diagnosed with, from the text side of the SRCLIP in the box: who only asks needs no tokenizer and
 * no text tower then. To be run after `export-models` has written another SRCLIP.
 *
 *     npm run export-prompts
 */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { DIAGNOSIS_PROMPTS } from "@deplsr/models";
import { storedValues } from "@deplsr/nn";
import { DIAGNOSIS_KINDS, encodePrompts } from "@deplsr/srclip";
import { Device, writeSafetensors } from "@deplsr/tensor";
import { askSrclip } from "../apps/cli/src/diagnose/asked.ts";
import { styledKinds, templateOf } from "../apps/cli/src/evaluate/protocol.ts";
import { SHIPPED_SRCLIP } from "../apps/cli/src/networks/shipped.ts";

const device = await Device.request({ backend: "cpu" });
const { model, protocol, tokenizer } = await askSrclip(device, SHIPPED_SRCLIP);
const kinds = styledKinds(protocol, DIAGNOSIS_KINDS);
const { contextLength } = model.config.clip.text;
const features = encodePrompts(model, device, tokenizer, kinds, { template: templateOf(protocol), contextLength });
const entries = await Promise.all(
  kinds.map(async ({ name }, i) => [name, storedValues(await features[i]!.data(), features[i]!.shape)] as const),
);
const prompts = Object.fromEntries(kinds.map(({ name, prompts }) => [name, prompts]));
const bytes = writeSafetensors(new Map(entries), { prompts: JSON.stringify(prompts) });
await writeFile(fileURLToPath(DIAGNOSIS_PROMPTS), bytes);
console.log(`${fileURLToPath(DIAGNOSIS_PROMPTS)}: ${bytes.length} bytes`);
device.destroy();
