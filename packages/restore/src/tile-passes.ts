/** Passes of a network over the tiles of one image, on one device. */
import { selfEnsemble } from "@deplsr/dat";
import type { ImagePrompt } from "@deplsr/srclip";
import { type Captured, captureSteady, noGrad, scope, type Tensor } from "@deplsr/tensor";
import type { TilePlanes } from "./tile-parts.ts";
import type { Workplace } from "./workplace.ts";

/** The height and width of a tile, in pixels of the input. */
export interface TileSize {
  readonly height: number;
  readonly width: number;
}

/** What is done with each tile of an image. */
export interface TilingWork {
  /** Pixels to either side of a border between parts of a tile that both see. */
  readonly overlap: number;
  /** The mean over the eight flips and turns. */
  readonly ensemble: boolean;
  /** What most tiles measure. */
  readonly most: TileSize;
  /** Whether adapters in software record passes as well. */
  readonly software: boolean;
}

type Pass = (x: Tensor) => Tensor;

/** Tiles of the size that most have are recorded once and run again, where the network is steady. */
export class TilePasses {
  readonly #place: Workplace;
  readonly #most: TileSize;
  readonly #plain: Pass;
  #steady: Captured<[Tensor], Tensor> | null;

  constructor(place: Workplace, features: ImagePrompt | null, { ensemble, most, software }: TilingWork) {
    const { device, network } = place;
    const once: Pass = (x) => network.forward(x, features);
    this.#place = place;
    this.#most = most;
    this.#plain = ensemble ? (x) => selfEnsemble(x, once) : once;
    this.#steady = network.steady ? captureSteady(device, this.#plain, { after: 1, software }) : null;
  }

  /** What the network makes of planes (3, h, w). */
  async run({ planes, height, width }: TilePlanes): Promise<Float32Array> {
    const { device } = this.#place;
    const usual = height === this.#most.height && width === this.#most.width;
    const pass = (usual && this.#steady) || this.#plain;
    using made = scope(() => noGrad(() => pass(device.tensor(planes, [1, 3, height, width]))));
    return (await made.data()) as Float32Array;
  }

  /** Gives back what is kept for further tiles, which run as they are from now on. False where that was so before. */
  stop(): boolean {
    if (!this.#steady) return false;
    this.#steady.dispose();
    this.#steady = null;
    return true;
  }
}
