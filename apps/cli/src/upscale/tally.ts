/** What became of the photos of a run, told as it happens and at its end. */
import { UserError } from "../errors.ts";
import { counted, type Output } from "../output.ts";
import type { LeftOut } from "../photo/find.ts";
import { duration } from "../progress.ts";
import type { Enlarged } from "./job.ts";

/** A photo without a new result, as `--json` tells it. */
interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** What became of a photo, and what is told of it. */
export type Outcome = { readonly warnings: readonly string[] } & (
  | { readonly image: Enlarged }
  /** Done already: where its result is. */
  | { readonly out: string }
  /** Left out: why. */
  | { readonly failure: string }
);

/** Counts results, photos that are done already, and photos that were left out. */
export class Tally {
  readonly #output: Output;
  readonly #images: Enlarged[] = [];
  readonly #skipped: Skipped[] = [];
  #done = 0;
  #left = 0;

  /** @param others what folders hold besides photos; pictures among them count as left out */
  constructor(output: Output, others: readonly LeftOut[]) {
    this.#output = output;
    for (const { path, kind } of others) {
      if (kind !== null && kind !== "folder") this.#leave(path, `is ${kind}, which is not read`);
    }
  }

  /** Counts a photo, and tells what there is to tell of it. */
  take(photo: string, outcome: Outcome): void {
    for (const text of outcome.warnings) this.#output.warn(text);
    if ("image" in outcome) this.#made(outcome.image);
    else if ("out" in outcome) {
      this.#done += 1;
      this.#skip(photo, `is done already: ${outcome.out}`);
    } else {
      this.#leave(photo, outcome.failure);
      this.#output.warn(`${photo} is left out: ${outcome.failure}`);
    }
  }

  /**
   * Tells how many there were, and the command's result. Its exit code is 1 when a photo was left out.
   *
   * @throws UserError when nothing was enlarged and nothing was done before
   */
  finish(): void {
    const output = this.#output;
    const photos = this.#images.length + this.#done + this.#left;
    if (this.#done > 0) output.line(`${counted(this.#done, "photograph")} of ${photos} had been done already`);
    if (this.#left > 0) output.warn(`left out ${this.#left} of ${counted(photos, "photograph")}`);
    if (photos > 1) output.line(`enlarged ${counted(this.#images.length, "photograph")}`);
    if (this.#left > 0 && this.#left === photos) {
      const { reason } = this.#skipped.at(-1)!;
      throw new UserError(`upscale: none of the ${photos} photographs could be enlarged: ${reason}`);
    }
    output.result({ images: this.#images, ...(this.#skipped.length > 0 ? { skipped: this.#skipped } : {}) });
    if (this.#left > 0) process.exitCode = 1;
  }

  #made(image: Enlarged): void {
    const [from, to] = [image.in === "-" ? "stdin" : image.in, image.out === "-" ? "stdout" : image.out];
    const { width, height, ms } = image;
    this.#output.line(`${from} -> ${to} (${width}x${height}, ${duration(ms / 1000)})`);
    this.#images.push(image);
    this.#output.item({ ...image });
  }

  #leave(photo: string, reason: string): void {
    this.#left += 1;
    this.#skip(photo, reason);
  }

  #skip(photo: string, reason: string): void {
    this.#skipped.push({ name: photo, reason });
    this.#output.item({ in: photo, skipped: reason });
  }
}
