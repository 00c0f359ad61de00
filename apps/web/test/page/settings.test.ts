import { expect, it } from "vitest";
import {
  DEFAULTS,
  enlargeSettings,
  loadSettings,
  parseSettings,
  resultName,
  type Settings,
  sameResult,
  saveSettings,
} from "../../src/page/settings.ts";

const OTHER: Settings = {
  by: "width",
  scale: 4,
  width: 1234,
  height: 99,
  strength: 0.5,
  colour: "free",
  tiles: { webgpu: 256, wasm: 64 },
  backend: "wasm",
  format: "webp",
  quality: { jpeg: 80, webp: 70 },
  theme: "dark",
};

it("are as they were saved", () => {
  const stored = new Map<string, string>();
  saveSettings(OTHER, { setItem: (key, value) => void stored.set(key, value) });
  expect(loadSettings({ getItem: (key) => stored.get(key) ?? null })).toEqual(OTHER);
});

it("are the defaults where nothing sensible is stored", () => {
  for (const text of [
    null,
    "",
    "{",
    "[]",
    "3",
    '{"scale":7,"strength":2,"tiles":{"wasm":65},"quality":null,"width":1.5}',
  ]) {
    expect(loadSettings({ getItem: () => text })).toEqual(DEFAULTS);
  }
  const full = (): never => {
    throw new Error("no storage");
  };
  expect(loadSettings({ getItem: full })).toEqual(DEFAULTS);
  expect(() => saveSettings(OTHER, { setItem: full })).not.toThrow();
});

it("keep what is sensible beside what is not", () => {
  expect(parseSettings({ strength: 0.25, scale: "2", format: "gif" })).toEqual({ ...DEFAULTS, strength: 0.25 });
});

it("tell the upscaler one size, and the tiles of its device", () => {
  expect(enlargeSettings(OTHER, "wasm")).toEqual({ width: 1234, strength: 0.5, colour: "free", tile: 64 });
  expect(enlargeSettings(DEFAULTS, "webgpu")).toEqual({ scale: 2, strength: 1, colour: "keep", tile: "auto" });
});

it("name results as the command does", () => {
  expect(resultName("a.b.jpeg", DEFAULTS, "jpeg")).toBe("a.b_x2.jpg");
  expect(resultName("photo", { ...DEFAULTS, by: "height" }, "webp")).toBe("photo_2000h.webp");
  expect(resultName(".png", DEFAULTS, "png")).toBe("photo_x2.png");
});

it("know whether another result would come out", () => {
  expect(sameResult(OTHER, { ...OTHER, scale: 2, format: "png", tiles: DEFAULTS.tiles })).toBe(true);
  expect(sameResult(OTHER, { ...OTHER, width: 1 })).toBe(false);
  expect(sameResult(OTHER, { ...OTHER, strength: 1 })).toBe(false);
});
