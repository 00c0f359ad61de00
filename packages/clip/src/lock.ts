import { Module } from "@deplsr/nn";
import { requireGrad, type Tensor } from "@deplsr/tensor";
import type { TextTransformer } from "./text.ts";
import type { VisionTransformer } from "./vision.ts";

/** Parts of a tower that are trained or not together. */
type Group = readonly (Module | Tensor)[];

/** From the front: what stands before the blocks, each block but the last, the last block and normalisation, the projection. */
export function imageGroups(tower: VisionTransformer): Group[] {
  const { resblocks } = tower.transformer;
  return [
    [tower.conv1, tower.classEmbedding, tower.positionalEmbedding, tower.lnPre],
    ...resblocks.slice(0, -1).map((block) => [block]),
    [...resblocks.slice(-1), tower.lnPost],
    [tower.proj],
  ];
}

/** As `imageGroups`, of a text tower. */
export function textGroups(tower: TextTransformer): Group[] {
  const { resblocks } = tower.transformer;
  return [
    [tower.tokenEmbedding, tower.positionalEmbedding],
    ...resblocks.slice(0, -1).map((block) => [block]),
    [...resblocks.slice(-1), tower.lnFinal],
    [tower.textProjection],
  ];
}

/** Freezes a tower but for the last `unlocked` of its groups. @throws RangeError unless `unlocked` is a whole number from 0 on */
export function lockTower(tower: Module, groups: readonly Group[], unlocked: number): void {
  if (!Number.isInteger(unlocked) || unlocked < 0) {
    throw new RangeError(
      `lock: ${unlocked} groups cannot stay unlocked; give a whole number from 0 to ${groups.length}`,
    );
  }
  tower.freeze();
  for (const part of groups.slice(Math.max(0, groups.length - unlocked)).flat()) {
    if (part instanceof Module) part.unfreeze();
    else requireGrad(part);
  }
}
