import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { type CaptionOptions, readCaptioner } from "../../src/data/captioner.ts";
import { Output } from "../../src/output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

describe("readCaptioner", () => {
  /** What each of three photographs is said to show; the first one's list says something already. */
  async function captionsOf(folder: string, options: Partial<CaptionOptions>) {
    const lines: string[] = [];
    const stream = { write: (text: string) => lines.push(text.trimEnd()) };
    const sources = ["a", "b", "c"].map((name) => ({ path: join(folder, `${name}.jpg`), name }));
    const titles = new Map([[resolve(sources[0]!.path), "listed"]]);
    const { known, ask } = await readCaptioner(
      { sources, titles, skipped: [] },
      { captions: undefined, "caption-command": undefined, "caption-timeout": 20, fallback: "a photo", ...options },
      new Output("text", { stdout: stream, stderr: stream }),
    );
    return { known: sources.map(({ path }) => known(path)), ask: ask && (() => ask(sources[1]!.path)), lines };
  }

  test("what lists say, files beside the photographs, a file of captions, or nothing", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "b.txt"), "\uFEFFa  dog\r\non grass\r\n");
    writeFileSync(join(folder, "t.json"), '{ "a.jpg": "a cat", "b.jpg": "a cow", "z.jpg": 3 }');
    const warning = (count: number): string =>
      `warning: no caption for ${count} of 3 photographs: "a photo" stands for it`;
    expect(await captionsOf(folder, {})).toMatchObject({
      known: ["listed", "a photo", "a photo"],
      lines: [warning(2)],
      ask: null,
    });
    expect(await captionsOf(folder, { fallback: null })).toEqual({
      known: ["listed", undefined, undefined],
      lines: [],
      ask: null,
    });
    expect(await captionsOf(folder, { captions: "none" })).toMatchObject({
      known: Array(3).fill("a photo"),
      lines: [],
    });
    expect(await captionsOf(folder, { captions: "sidecar" })).toMatchObject({
      known: ["listed", "a dog on grass", "a photo"],
      lines: [warning(1)],
    });
    const { known, lines } = await captionsOf(folder, { captions: join(folder, "t.json"), fallback: "x" });
    expect(known).toEqual(["a cat", "a cow", "x"]);
    expect(lines[0]).toBe(
      `warning: captions: ${join(folder, "t.json")} entry 3 is left out: no text for its path, or for its title`,
    );
    await expect(captionsOf(folder, { captions: "none.tsv" })).rejects.toThrow("none.tsv does not exist");
  });

  test("a program is asked where nothing else knows", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "c.txt"), "a hen");
    const command = `"${process.execPath}" -p "process.argv[1].slice(-5)" {image}`;
    const { known, ask, lines } = await captionsOf(folder, { captions: "sidecar", "caption-command": command });
    expect([known, await ask?.(), lines]).toEqual([["listed", undefined, "a hen"], "b.jpg", []]);
  });
});
