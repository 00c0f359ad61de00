import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { captionCommand, splitCommand } from "../../src/data/caption-command.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** A captioner made of JavaScript that sees the image's path as `image`, in a folder whose name has a blank. */
function program(body: string, seconds = 20): (image: string) => Promise<string> {
  const script = join(temporaryFolder(), "my captioner.mjs");
  writeFileSync(script, `const image = process.argv[2];\n${body}\n`);
  return captionCommand(`"${process.execPath}" '${script}' {image}`, seconds);
}

describe("splitCommand", () => {
  test("parts words as a shell does, and does nothing else of a shell", () => {
    expect(splitCommand("  blip  --beams 3 {image} ")).toEqual(["blip", "--beams", "3", "{image}"]);
    expect(splitCommand(`"a b" 'c "d"' e\\ f "g \\"h\\"" ""`)).toEqual(["a b", 'c "d"', "e f", 'g "h"', ""]);
    expect(splitCommand("x'y z'w $HOME; `rm` | > *")).toEqual(["xy zw", "$HOME;", "`rm`", "|", ">", "*"]);
    expect(splitCommand("C:\\tools\\blip.exe 'C:\\a b\\'")).toEqual(["C:\\tools\\blip.exe", "C:\\a b\\"]);
    expect(() => splitCommand("blip 'x")).toThrow("a ' is never closed");
  });
});

describe("captionCommand", () => {
  test("what the program prints is the caption, whatever is in the image's name", async () => {
    const caption = program("console.log('a picture\\n  called ' + image + ' 🐑');");
    for (const image of ["a.png", "a b;$(touch x) `y` \"z\" 'w' & {image}$&.png"]) {
      expect(await caption(image)).toBe(`a picture called ${image} 🐑`);
    }
  });

  test("a failure, silence and a program that does not end are told in one line, with the last that it said", async () => {
    await expect(
      program("console.error('Traceback\\n  in main\\nno  model\\n'); process.exit(3);")("a.png"),
    ).rejects.toThrow(/^caption: \S+ ended with 3 for a\.png: no model$/);
    await expect(program("")("a.png")).rejects.toThrow(/^caption: \S+ printed nothing for a\.png$/);
    const started = performance.now();
    await expect(program("setInterval(() => {}, 1000);", 1)("a.png")).rejects.toThrow("took longer than 1 s for a.png");
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test("a command that cannot work is wrong usage", async () => {
    expect(() => captionCommand("blip", 1)).toThrow('--caption-command "blip": write a program and {image}');
    expect(() => captionCommand(" ", 1)).toThrow("write a program and {image}");
    await expect(captionCommand("/no/such/program {image}", 1)("a.png")).rejects.toThrow(
      "--caption-command: there is no program /no/such/program that can be run",
    );
  });
});
