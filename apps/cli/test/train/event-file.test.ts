import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WriteError } from "../../src/errors.ts";
import { EventFile } from "../../src/train/event-file.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { readEvents } from "./event-records.ts";

const NOW = new Date("2026-01-02T03:04:05.250Z");
const SECONDS = NOW.getTime() / 1000;

describe("event files", () => {
  test("what is written reads back by the published format, checksums included", () => {
    const folder = temporaryFolder();
    const file = EventFile.create(folder, NOW);
    file.scalars(0, { "losses/l_pix": 0 }, NOW);
    file.scalars(200, { "losses/l_pix": 0.125, lr: 2e-4 }, new Date(NOW.getTime() + 1500));
    file.scalars(3_000_000_000, { "metrics/Größe/psnr": Number.POSITIVE_INFINITY }, NOW);
    const png = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251);
    file.image("val/0001", 200, png, { width: 640, height: 480 }, NOW);
    file.close();
    const [name, ...others] = readdirSync(folder);
    expect(others).toEqual([]);
    expect(name).toMatch(
      new RegExp(`^events\\.out\\.tfevents\\.${Math.floor(SECONDS)}\\.[\\w.-]+\\.${process.pid}\\.0$`),
    );
    const none = { scalars: {}, images: [] };
    expect(readEvents(readFileSync(join(folder, name!)))).toEqual([
      { ...none, wallTime: SECONDS, step: 0, version: "brain.Event:2" },
      { ...none, wallTime: SECONDS, step: 1, sessionStart: true },
      { ...none, wallTime: SECONDS, step: 0, scalars: { "losses/l_pix": 0 } },
      { ...none, wallTime: SECONDS + 1.5, step: 200, scalars: { "losses/l_pix": 0.125, lr: Math.fround(2e-4) } },
      { ...none, wallTime: SECONDS, step: 3e9, scalars: { "metrics/Größe/psnr": Number.POSITIVE_INFINITY } },
      {
        ...none,
        wallTime: SECONDS,
        step: 200,
        images: [{ tag: "val/0001", width: 640, height: 480, colorspace: 3, png: Buffer.from(png) }],
      },
    ]);
  });

  test("every file says from which step on its values count, so that a resumed training replaces what was done twice", () => {
    const folder = temporaryFolder();
    EventFile.create(folder, NOW).close();
    const file = EventFile.create(folder, NOW, 100);
    file.scalars(101, { lr: 1 }, NOW);
    file.close();
    expect(readdirSync(folder)).toHaveLength(2);
    expect(file.path.endsWith(".1")).toBe(true);
    expect(readEvents(readFileSync(file.path)).map(({ step, sessionStart }) => [step, sessionStart])).toEqual([
      [0, undefined],
      [101, true],
      [101, undefined],
    ]);
  });

  test("where nothing can be written, the error is one line of the kind that others know", () => {
    const missing = join(temporaryFolder(), "none");
    expect(() => EventFile.create(missing, NOW)).toThrow(WriteError);
    expect(() => EventFile.create(missing, NOW)).toThrow(/^write: .*none.* cannot be written \(ENOENT[^\n]*$/);
  });

  test("a full disk is told, and what is written after it reads back", () => {
    let full = false;
    const file = EventFile.create(temporaryFolder(), NOW, 0, (descriptor, bytes) => {
      writeFileSync(descriptor, full ? bytes.subarray(0, 20) : bytes);
      if (full) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    });
    full = true;
    expect(() => file.scalars(1, { lr: 1 }, NOW)).toThrow(
      `write: no space left on the disk for ${file.path} (40 bytes): free some space or choose another folder`,
    );
    full = false;
    file.scalars(2, { lr: 0.5 }, NOW);
    file.close();
    expect(readEvents(readFileSync(file.path)).map(({ step, scalars }) => [step, scalars])).toEqual([
      [0, {}],
      [1, {}],
      [2, { lr: 0.5 }],
    ]);
  });
});
