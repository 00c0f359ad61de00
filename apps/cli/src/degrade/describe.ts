import { degradationCaption, levelsOf, type SecondOrderDraw } from "@deplsr/degradation";
import type { Recipe } from "./plan.ts";

/** What was done to an image, in words: the caption that SRCLIP learns from, or the stages of the second-order pipeline. */
export function describeRecipe(recipe: Recipe): string {
  return recipe.pipeline === "semantic" ? degradationCaption(levelsOf(recipe.draw)) : stagesInWords(recipe.draw);
}

function stagesInWords({ stages, jpegFirst, mode, sinc }: SecondOrderDraw): string {
  const words = stages.map(({ blur, resize, noise, quality }) => {
    const level = noise.type === "gaussian" ? noise.sigma : noise.scale;
    return [
      ...(blur ? [`${blur.type} blur`] : []),
      `${resize.mode} x${resize.factor.toFixed(2)}`,
      `${noise.gray ? "gray " : ""}${noise.type} noise ${level.toFixed(1)}`,
      `jpeg ${quality.toFixed(0)}`,
    ].join(", ");
  });
  const filter = sinc ? `, sinc ${jpegFirst ? "after" : "before"} the jpeg` : "";
  return `${words.join("; ")}; ${mode}${filter}`;
}
