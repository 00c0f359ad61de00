/** An SRCLIP with what is needed to ask it about photographs. */
import { Tokenizer } from "@deplsr/clip";
import type { PromptOptions } from "@deplsr/restore";
import type { SrCLIPV2 } from "@deplsr/srclip";
import type { Device } from "@deplsr/tensor";
import { ORIGINAL_STYLE } from "../evaluate/protocol.ts";
import { loadSrclip, protocolOf } from "../networks/srclip.ts";
import type { Protocol } from "../train/checkpoint.ts";

/** An SRCLIP, how its prompts are worded, and how it sees images. */
export interface AskedSrclip {
  readonly model: SrCLIPV2;
  readonly protocol: Protocol;
  readonly prompt: PromptOptions;
  readonly tokenizer: Tokenizer;
}

/** Loads an SRCLIP to be asked as in its training, or, where it does not tell, as the original does. @throws UserError as `loadSrclip` */
export async function askSrclip(device: Device, path: string): Promise<AskedSrclip> {
  const protocol = (await protocolOf(path)) ?? { ...ORIGINAL_STYLE, fit: "squash" };
  const model = await loadSrclip(device, path);
  return {
    model,
    protocol,
    prompt: { clipInput: "normalized", clipFit: protocol.fit },
    tokenizer: new Tokenizer(undefined, model.config.clip.text.tokens),
  };
}
