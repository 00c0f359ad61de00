/** What open_clip measures of a validation: whether images find their captions among all, captions their images, and the loss. */
import { clipLoss, type Retrieval, retrievalOfFeatures } from "@deplsr/clip";
import { cat, type HostArray, noGrad, scope, type Tensor } from "@deplsr/tensor";
import { UserError } from "../errors.ts";

/** By open_clip's names: `image_to_text_mean_rank` ... `text_to_image_R@10`, shares where they are recalls, and `clip_val_loss`. */
export type RetrievalValues = Readonly<Record<string, number>>;

/** A batch's features on the host, and its loss. */
export interface FoundFeatures {
  readonly images: HostArray;
  readonly captions: HostArray;
  readonly loss: number;
  readonly count: number;
}

/**
 * Reads a batch.
 *
 * @param content features of the images, (b, embedDim) of length 1
 * @param captions those of their captions
 * @param logitScale scalar factor on the logits
 * @throws UserError when the loss is no number
 */
export async function foundFeatures({
  content,
  captions,
  logitScale,
}: Readonly<Record<"content" | "captions" | "logitScale", Tensor>>): Promise<FoundFeatures> {
  using loss = noGrad(() => scope(() => clipLoss({ image: content, text: captions, logitScale })));
  const value = await loss.item();
  if (!Number.isFinite(value)) {
    throw new UserError(`evaluate: the loss is ${value}, so the weights are no use: take an earlier checkpoint`);
  }
  return { images: await content.data(), captions: await captions.data(), loss: value, count: content.shape[0]! };
}

/** Gathers the features of a data set. They are kept on the host: 4 KiB an image where they are 512 wide. */
export class RetrievalMeter {
  readonly #images: HostArray[] = [];
  readonly #captions: HostArray[] = [];
  #loss = 0;

  /** Adds a batch. */
  add({ images, captions, loss, count }: FoundFeatures): void {
    // A mean over the images: the last batch is a smaller one.
    this.#loss += loss * count;
    this.#images.push(images);
    this.#captions.push(captions);
  }

  /** What was added, measured on the device of a model. */
  async values({ device }: Pick<Tensor, "device">, embedDim: number): Promise<RetrievalValues> {
    const joined = (parts: readonly HostArray[]): Tensor =>
      scope(() =>
        cat(
          parts.map((part) => device.tensor(part, [part.length / embedDim, embedDim])),
          0,
        ),
      );
    using images = joined(this.#images);
    using captions = joined(this.#captions);
    return {
      ...named("image_to_text", await retrievalOfFeatures(images, captions)),
      ...named("text_to_image", await retrievalOfFeatures(captions, images)),
      clip_val_loss: this.#loss / images.shape[0]!,
    };
  }
}

/** As open_clip has it, the median rank of an even number is the lower one of two that differ by one. */
function named(
  direction: string,
  { meanRank, medianRank, recallAt1, recallAt5, recallAt10 }: Retrieval,
): RetrievalValues {
  return {
    [`${direction}_mean_rank`]: meanRank,
    [`${direction}_median_rank`]: Math.floor(medianRank),
    [`${direction}_R@1`]: recallAt1,
    [`${direction}_R@5`]: recallAt5,
    [`${direction}_R@10`]: recallAt10,
  };
}

/** Whether less is better. */
export function isLowerBetter(name: string): boolean {
  return name.endsWith("_rank") || name.endsWith("_loss");
}
