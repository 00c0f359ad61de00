import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { deplsr } from "./commands/run-command.ts";

const page = readFileSync(new URL("../../../docs/from-the-original.md", import.meta.url), "utf8");

/** Every command line of the page: the command's words, and the flags after them. */
const lines = [...page.matchAll(/`deplsr ([^`]+)`/g)].map(([, line]) => ({
  words: /^(?:(?:train|visualize) \w+|captions fine|\w+)/.exec(line!)![0],
  flags: line!.match(/(?<= )--?[a-z][\w-]*/g) ?? [],
}));

describe("the page of the original's commands", () => {
  test("names commands that there are, with flags that they have", { timeout: 300_000 }, async () => {
    const words = [...new Set(lines.map((line) => line.words))];
    expect(words).toEqual(expect.arrayContaining(["visualize tsne", "captions fine"]));
    for (const name of words) {
      const { code, stdout } = await deplsr([...name.split(" "), "--help"], ".");
      expect([name, code]).toEqual([name, 0]);
      const known = new Set(stdout.match(/--?[a-z][\w-]*/g));
      const asked = lines.filter((line) => line.words === name).flatMap(({ flags }) => flags);
      expect([name, asked.filter((flag) => !known.has(flag))]).toEqual([name, []]);
    }
  });

  test("has a row for every script of the original", () => {
    const scripts = ["generate_captions_LSDIR", "generate_lq", "generate_realesrgan_lq", "iqa", "tsne", "visualize"];
    for (const script of scripts) expect(page).toContain(`\`scripts/${script}.py`);
    for (const script of ["main.py`", "evaluate.py`", "demo.py`", "basicsr/train.py", "basicsr/test.py", "test.py`"])
      expect(page).toContain(`| \`${script}`);
  });
});
