/** From gradients to a step of the optimizer: clipped, or left out where they are no numbers. */
import { type Adam, clipGradNorm, gradNorm } from "@deplsr/nn";
import { add, assign, clone, mul, noGrad, reshape, scope, type Tensor, transient } from "@deplsr/tensor";
import type { Mark } from "./step-clock.ts";

/** What a training does with its gradients. */
export interface UpdateOptions {
  /** Largest norm of all gradients together; null for any. */
  readonly clip: number | null;
  /** Leaves a step out whose loss or gradient is no number, instead of ending the run. */
  readonly skip: boolean;
}

/** Updates the weights, from clipped gradients, and gives the gradients back. */
export function updateWith(optimizer: Adam, gradients: ReadonlyMap<Tensor, Tensor>, clip: UpdateOptions["clip"]): void {
  try {
    scope(() => optimizer.step(clip === null ? gradients : clipGradNorm(gradients, clip).grads));
  } finally {
    for (const gradient of gradients.values()) gradient.dispose();
  }
}

/**
 * The same, unless the step is to be left out.
 *
 * @param loss a scalar, which has to be a number as well
 * @returns false where the step was left out
 */
export async function update(
  optimizer: Adam,
  gradients: ReadonlyMap<Tensor, Tensor>,
  loss: Tensor,
  { clip, skip }: UpdateOptions,
): Promise<boolean> {
  let fine = false;
  try {
    fine = !skip || (await areNumbers(gradients, loss));
  } finally {
    if (!fine) for (const gradient of gradients.values()) gradient.dispose();
  }
  if (fine) updateWith(optimizer, gradients, clip);
  return fine;
}

async function areNumbers(gradients: ReadonlyMap<Tensor, Tensor>, loss: Tensor): Promise<boolean> {
  using norm = scope(() => add(gradNorm(gradients), mul(reshape(loss, []), 0)));
  return Number.isFinite(await norm.item());
}

/**
 * The two halves of a step, in one scope; where they are marked, with a wait for the device between them.
 *
 * @param forward → losses with their graphs
 * @param backward → what is left of the step, without graphs
 */
export async function inHalves<Losses extends object, Rest>(
  mark: Mark | null,
  forward: () => Losses,
  backward: (losses: Losses) => Rest,
): Promise<Rest> {
  // The casts: no half is a promise, which the types of scopes leave open.
  if (!mark) return scope(() => backward(forward())) as Rest;
  const losses = transient(forward) as Losses;
  await mark("forward");
  const rest = scope(() => backward(losses)) as Rest;
  for (const loss of Object.values(losses) as (Tensor | null)[]) loss?.dispose();
  await mark("backward");
  return rest;
}

/** Tensors as they were. */
export class Snapshot {
  readonly #tensors: readonly Tensor[];
  readonly #before: readonly Tensor[];

  /** Remembers them as they are. */
  constructor(tensors: Iterable<Tensor>) {
    this.#tensors = [...tensors];
    this.#before = noGrad(() => this.#tensors.map((tensor) => clone(tensor)));
  }

  restore(): void {
    scope(() => {
      for (const [i, tensor] of this.#tensors.entries()) assign(tensor, this.#before[i]!);
    });
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#before) tensor.dispose();
  }
}
