import { keep, scope, type Tensor } from "@deplsr/tensor";

/** Tensors that follow from weights alone, each computed once while its weights stand: for inference, where they are the same in every pass. */
export class StandingTensors {
  readonly #known = new Map<object, { readonly values: readonly unknown[]; readonly result: Tensor }>();

  /** What `owner` computes from weights, and nothing else; it stays this object's. A write gives a tensor another value, so values tell whether they stand. */
  of(owner: object, weights: Iterable<Tensor>, compute: () => Tensor): Tensor {
    const values = Array.from(weights, (weight) => weight.value("forward"));
    const known = this.#known.get(owner);
    if (known?.values.every((value, i) => value === values[i])) return known.result;
    known?.result.dispose();
    this.#known.delete(owner);
    const result = keep(scope(compute));
    this.#known.set(owner, { values, result });
    return result;
  }

  /** Gives them all back. */
  dispose(): void {
    for (const { result } of this.#known.values()) result.dispose();
    this.#known.clear();
  }
}
