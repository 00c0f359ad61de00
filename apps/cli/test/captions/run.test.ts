import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type CaptionsFlags, runCaptions } from "../../src/captions/run.ts";
import { writeImage } from "../../src/data/image.ts";
import { readImageList } from "../../src/data/image-list.ts";
import { start } from "../commands/run-command.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** A captioner that counts its calls, and fails for `b.jpg` as long as there is a file `broken`. */
const PROGRAM = `
import { appendFileSync, existsSync } from "node:fs";
import { basename } from "node:path";
const image = basename(process.argv[2]);
appendFileSync("calls", image + "\\n");
if (image === "b.jpg" && existsSync("broken")) {
  console.error("Traceback:\\n  deep inside\\nCUDA out of memory");
  process.exit(7);
}
if (existsSync("slow")) await new Promise((resolve) => setTimeout(resolve, 3000));
console.log("a picture\\ncalled " + image);
`;

let folder = "";
let home = "";

beforeEach(async () => {
  folder = temporaryFolder();
  for (const name of ["a.png", "b.jpg", "sub/c.png"]) await writeImage(join(folder, "photos", name), picture(24, 20));
  writeFileSync(join(folder, "say.mjs"), PROGRAM);
  home = process.cwd();
  process.chdir(folder);
});
afterEach(() => {
  process.chdir(home);
  process.exitCode = 0;
});

const COMMAND = `'${process.execPath}' say.mjs {image}`;
const HEAD = "filepath\ttitle\n";

async function captions(more: Partial<CaptionsFlags> = {}) {
  const flags = { root: undefined, captions: undefined, "caption-command": undefined, "caption-timeout": 60 };
  const given = { ...flags, images: ["photos"], out: "captions.tsv", jobs: 1, overwrite: false, ...more };
  const { output, stdout, stderr } = recordedOutput(true);
  await runCaptions(given, { output });
  return { result: JSON.parse(stdout()), stderr: stderr(), text: readFileSync(given.out, "utf8") };
}

describe("deplsr captions", () => {
  test("without a program lists the photographs with empty captions, which a later run fills and keeps", async () => {
    const listed = await captions();
    expect(listed.text).toBe(`${HEAD}photos/a.png\t\nphotos/b.jpg\t\nphotos/sub/c.png\t\n`);
    expect(listed.stderr).toContain("3 photographs in captions.tsv: 3 without a caption\n");
    expect(listed.result.images[0]).toEqual({ in: "photos/a.png", title: null });

    writeFileSync("captions.tsv", listed.text.replace("a.png\t", "a.png\tby hand"));
    writeFileSync("broken", "");
    const asked = await captions({ "caption-command": COMMAND });
    expect(asked.text).toBe(`${HEAD}photos/a.png\tby hand\nphotos/b.jpg\t\nphotos/sub/c.png\ta picture called c.png\n`);
    const reason = `caption: ${process.execPath} ended with 7 for photos/b.jpg: CUDA out of memory`;
    expect(asked.stderr).toContain(`warning: ${reason}\n`);
    expect(asked.stderr).toContain("warning: 1 caption failed; run again to try once more\n");
    expect(asked.result).toMatchObject({ kept: 1, failed: [{ name: "photos/b.jpg", reason }] });
    expect(process.exitCode).toBe(1);

    rmSync("broken");
    const again = await captions({ "caption-command": COMMAND, images: ["photos", "photos/a.png"] });
    expect(again.result).toMatchObject({ kept: 2, failed: [], skipped: [{ name: "photos/a.png" }] });
    expect(again.text).toContain("photos/b.jpg\ta picture called b.jpg\n");
    expect(readFileSync("calls", "utf8")).toBe("b.jpg\nc.png\nb.jpg\n");
    // What it writes is what the other commands read.
    expect((await readImageList("captions.tsv")).images.map(({ title }) => title)).toEqual([
      "by hand",
      "a picture called b.jpg",
      "a picture called c.png",
    ]);
  });

  test("takes captions of lists and text files; another folder is added; --overwrite begins anew", async () => {
    writeFileSync("photos/a.txt", "a  cat\n");
    writeFileSync("list.json", '{ "photos/b.jpg": "a dog", "photos/sub/c.png": "" }');
    expect((await captions({ captions: "sidecar", images: ["photos/a.png"] })).text).toBe(
      `${HEAD}photos/a.png\ta cat\n`,
    );
    expect((await captions({ images: ["list.json"] })).text).toBe(
      `${HEAD}photos/b.jpg\ta dog\nphotos/sub/c.png\t\nphotos/a.png\ta cat\n`,
    );
    expect((await captions({ images: ["photos/sub"], overwrite: true })).text).toBe(`${HEAD}photos/sub/c.png\t\n`);
  });

  test("wrong usage, and a program that is not there", async () => {
    await expect(captions({ out: "captions.jpg" })).rejects.toThrow("captions.jpg must end in .tsv or .csv");
    await expect(captions({ jobs: 0 })).rejects.toThrow("--jobs 0 must be a whole number from 1 to 1024");
    await expect(captions({ "caption-timeout": 0 })).rejects.toThrow("--caption-timeout 0 must be");
    await expect(captions({ "caption-command": "blip" })).rejects.toThrow("write a program and {image}");
    await expect(captions({ "caption-command": "no-such-program {image}" })).rejects.toThrow(
      "--caption-command: there is no program no-such-program that can be run",
    );
    await expect(captions({ images: ["none"] })).rejects.toThrow("input: none does not exist: check the path");
  });

  test("a Ctrl-C leaves what is done, and the next run asks for the rest", async () => {
    const args = ["captions", "photos", "--out", "captions.tsv", "--caption-command", COMMAND];
    writeFileSync("slow", "");
    const running = start(args, folder);
    await running.writes(join(folder, "captions.tsv"));
    while (!readFileSync("captions.tsv", "utf8").includes("a.png")) await new Promise((done) => setTimeout(done, 20));
    running.interrupt();
    expect((await running.finished).code).toBe(130);
    expect(readFileSync("captions.tsv", "utf8")).toBe(`${HEAD}photos/a.png\ta picture called a.png\n`);
    rmSync("slow");
    const { code, stdout } = await start(args, folder).finished;
    expect([code, stdout]).toEqual([0, "3 photographs in captions.tsv: 1 captioned by an earlier run\n"]);
    expect(
      readFileSync("calls", "utf8")
        .split("\n")
        .filter((name) => name === "a.png"),
    ).toHaveLength(1);
  });
});
