/** The command `classify`. */
import { normalizeFeatures } from "@deplsr/clip";
import { FINE_FEATURES } from "@deplsr/degradation";
import { imageFeatures } from "@deplsr/restore";
import type { ImageFeatures } from "@deplsr/srclip";
import { exp, matmul, mul, noGrad, scope, select, softmax, type Tensor, transpose } from "@deplsr/tensor";
import type { Context, DeviceFlags } from "../commands/command.ts";
import { withDevice } from "../device.ts";
import { UsageError } from "../errors.ts";
import { readPhoto } from "../photo/read.ts";
import { askSrclip } from "./asked.ts";
import { bars } from "./chart.ts";

/** What of a photograph is compared with texts. */
export type Feature = "degradation" | "content" | (typeof FINE_FEATURES)[number];

/** The flags of `deplsr classify`. */
export interface ClassifyFlags extends DeviceFlags {
  readonly image: string;
  readonly prompts: readonly string[];
  readonly feature: Feature;
  readonly srclip: string;
}

/** Does what `deplsr classify` asks for. */
export async function runClassify(flags: ClassifyFlags, context: Context): Promise<void> {
  const { output } = context;
  const prompts = [...new Set(flags.prompts)];
  if (prompts.length === 0) throw wordlessPrompt("");
  const blank = prompts.find((text) => text.trim() === "");
  if (blank !== undefined) throw wordlessPrompt(blank);
  const photo = await readPhoto(flags.image);
  await withDevice(flags, context, async (device) => {
    const { model, prompt, tokenizer } = await askSrclip(device, flags.srclip);
    const wordless = prompts.find((text) => tokenizer.encode(text, 1).length === 0);
    if (wordless !== undefined) throw wordlessPrompt(wordless);
    const ids = tokenizer.tensor(device, prompts, model.config.clip.text.contextLength);
    const shares = noGrad(() =>
      scope(() => {
        const feature = chosen(imageFeatures(model, photo, prompt), flags.feature); // (1, e)
        const texts = normalizeFeatures(model.encodeText(ids));
        return softmax(mul(matmul(feature, transpose(texts, 0, 1)), exp(model.logitScale)), 1);
      }),
    );
    const values = await shares.data();
    const ranked = prompts.map((text, i) => ["", text, values[i]!] as const).sort((a, b) => b[2] - a[2]);
    for (const line of bars(ranked)) output.line(line.trimStart());
    output.result({ probabilities: Object.fromEntries(prompts.map((text, i) => [text, values[i]!])) });
  });
}

/** Of a text that has nothing in it once it is cleaned as the tokenizer does: blanks, `&nbsp;`. */
function wordlessPrompt(text: string): UsageError {
  return new UsageError(`--prompts: give texts with words, in quotes: ${JSON.stringify(text)} has none`);
}

function chosen({ content, degradation, fine }: ImageFeatures, feature: Feature): Tensor {
  if (feature === "content") return content;
  // An adaptor is part of every SRCLIP, and single degradations of those that are loaded here.
  return feature === "degradation" ? degradation! : select(fine!, 1, FINE_FEATURES.indexOf(feature));
}
