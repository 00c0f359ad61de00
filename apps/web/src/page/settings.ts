/** What people set, and how it is remembered. */
import type { DeviceDescription, EnlargeSettings, ResultFormat } from "../client/api.ts";

/** What can be set on the page. */
export interface Settings {
  /** Which of the three numbers below says how large a result is. */
  readonly by: "scale" | "width" | "height";
  readonly scale: number;
  readonly width: number;
  readonly height: number;
  /** 0 … 1. */
  readonly strength: number;
  readonly colour: "keep" | "free";
  /** Side of tiles: one device's memory says nothing about another's. */
  readonly tiles: Readonly<Record<DeviceDescription["backend"], number | "auto">>;
  readonly backend: "auto" | DeviceDescription["backend"];
  readonly format: ResultFormat;
  /** 1 … 100. */
  readonly quality: Readonly<Record<"jpeg" | "webp", number>>;
  readonly theme: "auto" | "light" | "dark";
}

/** How things are until somebody sets them. */
export const DEFAULTS: Settings = {
  by: "scale",
  scale: 2,
  width: 3000,
  height: 2000,
  strength: 1,
  colour: "keep",
  tiles: { webgpu: "auto", wasm: "auto" },
  backend: "auto",
  format: "png",
  quality: { jpeg: 95, webp: 90 },
  theme: "auto",
};

/** The scales and the sides of tiles that are offered. */
export const SCALES: readonly number[] = [1.5, 2, 3, 4];
export const TILE_SIDES: readonly number[] = [64, 96, 128, 192, 256, 384, 512];

/** Pixels of a side that may be asked for. */
export const LONGEST_SIDE = 32768;

const KEY = "deplsr-settings";

/** Settings out of anything, such as JSON of another version: what is missing or out of its range is as in `DEFAULTS`. */
export function parseSettings(value: unknown): Settings {
  const given = record<keyof Settings>(value);
  const tiles = record<DeviceDescription["backend"]>(given.tiles);
  const quality = record<"jpeg" | "webp">(given.quality);
  const tile = (side: unknown): number | "auto" => TILE_SIDES.find((offered) => offered === side) ?? "auto";
  return {
    by: among(given.by, ["scale", "width", "height"], DEFAULTS.by),
    scale: among(given.scale, SCALES, DEFAULTS.scale),
    width: whole(given.width, LONGEST_SIDE, DEFAULTS.width),
    height: whole(given.height, LONGEST_SIDE, DEFAULTS.height),
    strength: within(given.strength, 0, 1, DEFAULTS.strength),
    colour: among(given.colour, ["keep", "free"], DEFAULTS.colour),
    tiles: { webgpu: tile(tiles.webgpu), wasm: tile(tiles.wasm) },
    backend: among(given.backend, ["auto", "webgpu", "wasm"], DEFAULTS.backend),
    format: among(given.format, ["png", "jpeg", "webp"], DEFAULTS.format),
    quality: {
      jpeg: whole(quality.jpeg, 100, DEFAULTS.quality.jpeg),
      webp: whole(quality.webp, 100, DEFAULTS.quality.webp),
    },
    theme: among(given.theme, ["auto", "light", "dark"], DEFAULTS.theme),
  };
}

/** The settings of the last visit. */
export function loadSettings(storage: Pick<Storage, "getItem"> = localStorage): Settings {
  try {
    return parseSettings(JSON.parse(storage.getItem(KEY) ?? "null"));
  } catch {
    // A browser without storage, or somebody else's text.
    return DEFAULTS;
  }
}

/** Keeps settings for the next visit. */
export function saveSettings(settings: Settings, storage: Pick<Storage, "setItem"> = localStorage): void {
  try {
    storage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // A browser without storage, or a full one: they hold for this visit.
  }
}

/** What an enlarging on a device is told. */
export function enlargeSettings(settings: Settings, backend: DeviceDescription["backend"]): EnlargeSettings {
  const { by, strength, colour, tiles } = settings;
  return { [by]: settings[by], strength, colour, tile: tiles[backend] };
}

/** Whether two settings make the same picture. */
export function sameResult(a: Settings, b: Settings): boolean {
  return a.by === b.by && a[a.by] === b[b.by] && a.strength === b.strength && a.colour === b.colour;
}

/** A result's file name: `photo_x2.png`, `photo_3000w.jpg`, as the command names them. */
export function resultName(name: string, settings: Settings, format: ResultFormat): string {
  const stem = name.replace(/\.[^.]*$/, "") || "photo";
  const size = { scale: `x${settings.scale}`, width: `${settings.width}w`, height: `${settings.height}h` }[settings.by];
  return `${stem}_${size}.${format === "jpeg" ? "jpg" : format}`;
}

/** Fields of an object out of anything: of what is none, no field is there. */
function record<K extends string>(value: unknown): Readonly<Partial<Record<K, unknown>>> {
  return (typeof value === "object" && value !== null ? value : {}) as Readonly<Partial<Record<K, unknown>>>;
}

function among<T>(value: unknown, allowed: readonly T[], otherwise: T): T {
  return allowed.find((one) => one === value) ?? otherwise;
}

function within(value: unknown, least: number, most: number, otherwise: number): number {
  return typeof value === "number" && value >= least && value <= most ? value : otherwise;
}

function whole(value: unknown, most: number, otherwise: number): number {
  return Number.isInteger(value) ? within(value, 1, most, otherwise) : otherwise;
}
