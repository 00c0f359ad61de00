import { type Device, keep, noGrad, type Tensor } from "@deplsr/tensor";
import { StandingTensors } from "./standing.ts";
import { paddedSize, relativeOffsets, relativePositionIndex, type Size, shiftMask } from "./window.ts";

/** The tensors of one window shape: made once, shared by all blocks, and never part of a scope. */
export interface WindowTable {
  readonly window: Size;
  readonly shift: Size;
  /** `((2hs-1)(2ws-1), 2)`. */
  readonly offsets: Tensor;
  /** `(n²)` i32, flat. */
  readonly index: Tensor;
  /** The biases of the blocks, while their weights stand. */
  readonly biases: StandingTensors;
}

/** How many image sizes keep their masks at a time: those of an x4 model at 232×232 take 134 MB. */
const KEPT_SIZES = 4;

/** Offsets, indices and masks of both branches on one device. A model makes one and its blocks share it. */
export class WindowTables {
  readonly split: Size;
  readonly branches: readonly [WindowTable, WindowTable];
  readonly #device: Device;
  readonly #masks = new Map<string, readonly [Tensor, Tensor]>();

  constructor(device: Device, split: Size) {
    this.#device = device;
    this.split = split;
    const [hs, ws] = split;
    this.branches = [this.#table([hs, ws]), this.#table([ws, hs])];
  }

  #constant(data: Float32Array | Int32Array, shape: readonly number[]): Tensor {
    return noGrad(() => keep(this.#device.tensor(data, shape)));
  }

  #table(window: Size): WindowTable {
    const [hs, ws] = window;
    const n = hs * ws;
    return {
      window,
      shift: [Math.floor(hs / 2), Math.floor(ws / 2)],
      offsets: this.#constant(relativeOffsets(window), [(2 * hs - 1) * (2 * ws - 1), 2]),
      index: this.#constant(relativePositionIndex(window), [n * n]),
      biases: new StandingTensors(),
    };
  }

  /** The shift masks `(windows, 1, n, n)` of both branches for images of this padded size. */
  masks(size: Size): readonly [Tensor, Tensor] {
    const key = size.join("x");
    let masks = this.#masks.get(key);
    if (!masks) {
      const make = ({ window, shift }: WindowTable): Tensor => {
        const n = window[0] * window[1];
        return this.#constant(shiftMask(size, window, shift), [(size[0] * size[1]) / n, 1, n, n]);
      };
      masks = [make(this.branches[0]), make(this.branches[1])];
    }
    // The latest used stands last, the first is the one to give back.
    this.#masks.delete(key);
    this.#masks.set(key, masks);
    const [oldest] = this.#masks.keys();
    if (this.#masks.size > KEPT_SIZES && oldest !== undefined) {
      for (const mask of this.#masks.get(oldest) ?? []) mask.dispose();
      this.#masks.delete(oldest);
    }
    return masks;
  }

  /** The tensor that the reference stores under a name such as `...attns.1.rpe_biases` for images of this size. */
  derived(name: string, imageSize: Size): Tensor {
    const branch = /(?:attns\.|attn_mask_)1/.test(name) ? 1 : 0;
    if (name.includes("attn_mask_")) return this.masks(paddedSize(imageSize, this.split))[branch];
    return name.endsWith("rpe_biases") ? this.branches[branch].offsets : this.branches[branch].index;
  }

  /** Gives back all of its tensors. */
  dispose(): void {
    for (const { offsets, index, biases } of this.branches) {
      offsets.dispose();
      index.dispose();
      biases.dispose();
    }
    for (const mask of [...this.#masks.values()].flat()) mask.dispose();
    this.#masks.clear();
  }
}
