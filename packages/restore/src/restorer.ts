/** From an image to a better one. */
import type { SrCLIPV2 } from "@deplsr/srclip";
import { type Device, noGrad, scope } from "@deplsr/tensor";
import { keptColours } from "./colour.ts";
import { type FlatResponse, flatResponse, withoutFlatResponse } from "./flat-response.ts";
import { checkImage, type Depth, depthOf, type RasterImage, valuesOf } from "./image.ts";
import { ImageWork } from "./image-work.ts";
import type { EnlargingNetwork } from "./network.ts";
import type { PromptOptions } from "./prompt.ts";
import { colourStrips, type Extent, opacityStrips, resampled } from "./resample.ts";
import { resultSize, type SizeOptions } from "./size.ts";
import { blendedCut, mostlySeen, referenceCut } from "./spans.ts";
import { cutStrips, RowReader, type Strips } from "./strip.ts";
import type { TilingWork } from "./tile-passes.ts";
import { enlargedByTiles, type RestoredTile } from "./tiles.ts";
import { withoutFringes } from "./transparency.ts";
import { checkSteering, hadNoRoom, LastingWorkplace, type Replace } from "./workplace.ts";

/** What a restorer is made of. */
export interface RestorerParts {
  readonly network: EnlargingNetwork;
  /** What steers the network. Default none. */
  readonly srclip?: SrCLIPV2 | null;
  /** How SRCLIP sees images. Default: as the reference does, raw and squashed. */
  readonly prompt?: PromptOptions;
  /** Gives another device where this one fails; tiles that are finished are not made again. Default: the work ends. */
  readonly replace?: Replace;
  /** Whether tiles of one size are recorded once and run again on adapters in software too, which gain nothing by it. Default false. */
  readonly captureInSoftware?: boolean;
}

/** How an image is restored. */
export interface RestoreOptions extends SizeOptions {
  /** Largest side of what is enlarged at once, in pixels of the input; "auto", the default: what `tileBytes` have room for. */
  readonly tile?: number | "auto";
  /** Bytes that a tile may take on the device with "auto". Default 256 MiB. */
  readonly tileBytes?: number;
  /** Pixels to either side of a border between tiles that both see; in the inner half they are mixed. Default 16. */
  readonly overlap?: number;
  /** Mixed by a raised cosine, the default, or cut where the next tile begins, as the reference does. */
  readonly blend?: "cosine" | "reference";
  /** The mean over the eight flips and turns of each tile: eight times the work. Default false. */
  readonly ensemble?: boolean;
  /** 1, the default, is the network's result, 0 plain enlargement, between them a mixture. */
  readonly strength?: number;
  /** Whether colours are held: over areas of about 8 pixels their means stay those of the input. Default "keep". */
  readonly colour?: "keep" | "free";
  /** Bits a channel of the result. Default: the image's. */
  readonly depth?: Depth;
  /** Ends the work before the next tile. */
  readonly signal?: AbortSignal;
  /** Told after each tile. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Shown each tile as it comes, for a preview. */
  readonly onTile?: (tile: RestoredTile) => void;
}

/** Some rows of a result. */
export interface RestoredStrip {
  /** The first row. */
  readonly top: number;
  readonly rows: number;
  /** `rows * width * 3` values. */
  readonly data: Uint8Array | Uint16Array;
  /** `rows * width` opacities; null where the image has none. */
  readonly alpha: Uint8Array | Uint16Array | null;
}

/** A result that is made while it is read. */
export interface RestoredStrips extends Extent {
  readonly depth: Depth;
  /** Rows from above. Can be read once. */
  readonly strips: AsyncIterable<RestoredStrip>;
}

/** Rows of a result that are finished at a time. */
const ROWS = 64;

const REFERENCE_PROMPT: PromptOptions = { clipInput: "raw", clipFit: "squash" };
const OPTIONS: readonly (keyof RestoreOptions)[] = [
  "scale",
  "width",
  "height",
  "tile",
  "tileBytes",
  "overlap",
  "blend",
  "ensemble",
  "strength",
  "colour",
  "depth",
  "signal",
  "onProgress",
  "onTile",
];

/** Makes images better with a network, whatever their size: only a tile is on the device at a time. */
export class Restorer {
  readonly #places: LastingWorkplace;
  readonly #captureInSoftware: boolean;
  /** Bytes that the network takes for a pixel of a tile, once that was measured. */
  #bytesPerPixel: number | undefined;
  #flatResponse: { readonly table: FlatResponse | null } | undefined;

  /** @throws RangeError when the network cannot be steered by this SRCLIP, or has no whole scale */
  constructor(device: Device, parts: RestorerParts) {
    const { network, srclip = null, prompt = REFERENCE_PROMPT, replace, captureInSoftware = false } = parts;
    this.#captureInSoftware = captureInSoftware;
    if (!(Number.isInteger(network.scale) && network.scale > 0))
      throw new RangeError(`restore: the network's scale ${network.scale} must be a whole number above 0`);
    checkSteering({ network, srclip });
    this.#places = new LastingWorkplace({ device, network, srclip, prompt }, replace ?? null);
  }

  /** Where it works now: another device than at first, where that was replaced. */
  get device(): Device {
    return this.#places.current.device;
  }

  get network(): EnlargingNetwork {
    return this.#places.current.network;
  }

  get srclip(): SrCLIPV2 | null {
    return this.#places.current.srclip;
  }

  get prompt(): PromptOptions {
    return this.#places.current.prompt;
  }

  /**
   * A better image. For those whose result is large there is `stream`.
   *
   * @throws RangeError as `stream`; the signal's reason once it is aborted
   */
  async restore(image: RasterImage, options: RestoreOptions = {}): Promise<RasterImage> {
    const { width, height, depth, strips } = this.stream(image, options);
    const data = valuesOf(depth, width * height * 3);
    const alpha = image.alpha ? valuesOf(depth, width * height) : null;
    for await (const strip of strips) {
      data.set(strip.data, strip.top * width * 3);
      if (strip.alpha) alpha?.set(strip.alpha, strip.top * width);
    }
    return { width, height, data, ...(alpha ? { alpha } : {}), ...(image.grey ? { grey: true } : {}) };
  }

  /**
   * A better image, made strip by strip while it is read, so that it may be larger than memory.
   *
   * @throws RangeError naming an option or a part of the image that does not fit; while it is read, when the network makes values that
   *   are no numbers; the signal's reason once it is aborted
   */
  stream(image: RasterImage, options: RestoreOptions = {}): RestoredStrips {
    checkImage(image);
    checkOptions(options);
    const size = resultSize(image, options, this.network.scale);
    const depth = options.depth ?? depthOf(image);
    return { ...size, depth, strips: this.#strips(image, size, depth, options) };
  }

  /**
   * The largest side of tiles that take no more than `bytes` on the device, 64 to 512; at the first call it is measured. 64 where not even that
   * has room: such tiles are made in parts.
   */
  async tileWithin(bytes: number): Promise<number> {
    const measured = this.#bytesPerPixel ?? (await this.#measure());
    if (measured === null) return 64;
    this.#bytesPerPixel = measured;
    const side = Math.floor(Math.sqrt(bytes / measured));
    return Math.min(512, Math.max(64, side - 32));
  }

  /** Null where the device has no memory for the smallest tile. */
  async #measure(): Promise<number | null> {
    const side = 64;
    const work = new ImageWork(this.#places, { width: side, height: side, data: new Uint8Array(side * side * 3) });
    try {
      return await work.on(async (place, features) => {
        const { device, network } = place;
        await device.sync();
        device.memory({ profile: true });
        const { liveBytes } = device.memory();
        try {
          using made = scope(() => noGrad(() => network.forward(device.zeros([1, 3, side, side]), features)));
          await made.data();
        } catch (error) {
          if (await hadNoRoom(place, error)) return null;
          throw error;
        }
        const held = device.memory({ profile: true }).profile.reduce((sum, { bytes }) => sum + bytes, 0);
        // What the ten largest holders do not tell.
        return (1.25 * Math.max(held - liveBytes, side * side * 64)) / (side * side);
      });
    } finally {
      work.dispose();
    }
  }

  /** Without an SRCLIP it is the same for every image, and measured once. */
  async #flatResponseOf(work: ImageWork, signal: AbortSignal | null): Promise<FlatResponse | null> {
    if (this.#flatResponse) return this.#flatResponse.table;
    const table = await work.on(({ device, network }, features) =>
      flatResponse(device, (x) => network.forward(x, features), signal),
    );
    if (!this.srclip) this.#flatResponse = { table };
    return table;
  }

  async *#strips(
    image: RasterImage,
    size: Extent,
    depth: Depth,
    options: RestoreOptions,
  ): AsyncGenerator<RestoredStrip> {
    const { strength = 1 } = options;
    const seen = withoutFringes(image);
    const plain = (): Strips => resampled(colourStrips(seen), seen, size, 3);
    const colours = strength === 0 ? plain() : this.#enlarged(seen, size, options);
    const mixture = strength > 0 && strength < 1 ? new RowReader(plain(), size.width * 3) : null;
    const opacity = image.alpha
      ? new RowReader(resampled(opacityStrips(image.alpha, image), image, size, 1), size.width)
      : null;
    for await (const { top, rows, data } of cutStrips(colours, ROWS, size.width * 3)) {
      const under = await mixture?.read(rows);
      if (under) for (let i = 0; i < data.length; i++) data[i] = under[i]! + (data[i]! - under[i]!) * strength;
      if (image.grey) withoutColour(data);
      const alpha = await opacity?.read(rows);
      yield { top, rows, data: quantized(data, depth), alpha: alpha ? quantized(alpha, depth) : null };
    }
  }

  /** What the network makes of an image, in the size that was asked for. */
  async *#enlarged(image: RasterImage, size: Extent, options: RestoreOptions): Strips {
    const { overlap = 16, blend = "cosine", ensemble = false, colour = "keep", tileBytes = 2 ** 28 } = options;
    const { scale, window = 1 } = this.network;
    const tile = typeof options.tile === "number" ? options.tile : await this.tileWithin(tileBytes);
    const cut = (length: number) =>
      blend === "cosine" ? blendedCut(length, tile, overlap, window) : referenceCut(length, tile, overlap);
    const { signal = null } = options;
    const [down, across] = [cut(image.height), cut(image.width)];
    const most = { height: mostlySeen(down), width: mostlySeen(across) };
    const tiling: TilingWork = { overlap, ensemble, most, software: this.#captureInSoftware };
    const work = new ImageWork(this.#places, image);
    try {
      const table = colour === "keep" ? await this.#flatResponseOf(work, signal) : null;
      const tiles = enlargedByTiles(image, {
        scale,
        down,
        across,
        make: (planes, height, width) => work.tile(planes, { height, width }, tiling),
        signal,
        onProgress: options.onProgress ?? (() => {}),
        onTile: options.onTile ?? null,
      });
      const enlarged = table ? withoutFlatResponse(tiles, image, scale, table) : tiles;
      const large = { width: image.width * scale, height: image.height * scale };
      yield* resampled(colour === "keep" ? keptColours(enlarged, image, scale) : enlarged, large, size, 3);
    } finally {
      work.dispose();
    }
  }
}

/** Luma of BT.601 in all three channels, in place. */
function withoutColour(data: Float32Array): void {
  for (let i = 0; i < data.length; i += 3) {
    const luma = 0.299 * data[i]! + 0.587 * data[i + 1]! + 0.114 * data[i + 2]!;
    data.fill(luma, i, i + 3);
  }
}

/** Values in [0, 1] as whole numbers of a depth: clamped, rounded. */
function quantized(values: Float32Array, depth: Depth): Uint8Array | Uint16Array {
  const result = valuesOf(depth, values.length);
  const white = depth === 8 ? 255 : 65535;
  for (let i = 0; i < values.length; i++) result[i] = Math.round(Math.min(1, Math.max(0, values[i]!)) * white);
  return result;
}

function checkOptions(options: RestoreOptions): void {
  for (const name of Object.keys(options)) {
    if (!(OPTIONS as readonly string[]).includes(name))
      throw new RangeError(`restore: unknown option ${name}: expected one of ${OPTIONS.join(", ")}`);
  }
  const {
    tile = "auto",
    tileBytes = 1,
    overlap = 0,
    strength = 1,
    blend = "cosine",
    colour = "keep",
    depth = 8,
  } = options;
  const whole = (value: number, least: number): boolean => Number.isInteger(value) && value >= least;
  if (tile !== "auto" && !whole(tile, 1))
    throw new RangeError(`restore: tile ${tile} must be a whole number above 0, or "auto"`);
  if (!(Number.isFinite(tileBytes) && tileBytes > 0))
    throw new RangeError(`restore: tileBytes ${tileBytes} must be a number above 0`);
  if (!whole(overlap, 0)) throw new RangeError(`restore: overlap ${overlap} must be a whole number, 0 or above`);
  if (!(strength >= 0 && strength <= 1)) throw new RangeError(`restore: strength ${strength} must lie in 0 … 1`);
  if (blend !== "cosine" && blend !== "reference")
    throw new RangeError(`restore: blend ${blend} must be "cosine" or "reference"`);
  if (colour !== "keep" && colour !== "free")
    throw new RangeError(`restore: colour ${colour} must be "keep" or "free"`);
  if (depth !== 8 && depth !== 16) throw new RangeError(`restore: depth ${depth} must be 8 or 16`);
}
