/** Where an SRCLIP looks in a photograph. */

import type { SrCLIPV2 } from "@deplsr/srclip";
import { noGrad, scope, select, slice } from "@deplsr/tensor";
import type { RasterImage } from "./image.ts";
import { normalized, squaresForPrompt } from "./prompt.ts";

/** How much each patch of a picture is looked at. */
export interface Attention {
  readonly width: number;
  readonly height: number;
  /** `height * width` shares, row by row; with that of the class token itself they sum to 1. */
  readonly values: Float32Array;
}

/** What the class token of the adaptor's last block attends to, the mean over its heads, in the whole image squashed to SRCLIP's square. */
export async function attentionOf(srclip: SrCLIPV2, image: RasterImage): Promise<Attention> {
  const { imageSize, patchSize } = srclip.config.clip.vision;
  const side = imageSize / patchSize;
  const { device } = srclip.logitScale;
  const [square] = squaresForPrompt(image, imageSize, "squash") as [Float32Array];
  using row = scope(() =>
    noGrad(() => {
      const maps = srclip.visualControl.attentionMaps(normalized(device.tensor(square, [1, 3, imageSize, imageSize])));
      return slice(select(select(maps.at(-1)!, 0, 0), 0, 0), [[1, 1 + side * side]]);
    }),
  );
  return { width: side, height: side, values: Float32Array.from(await row.data()) };
}
