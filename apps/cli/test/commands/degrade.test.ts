import { spawn } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readImage, writeImage } from "../../src/data/image.ts";
import { parseTable } from "../../src/data/tsv.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { deplsr, LAUNCHER } from "./run-command.ts";

/** Every file below a folder with its bytes. */
function filesOf(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
  return Object.fromEntries(paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, "base64")]));
}

describe("deplsr degrade", () => {
  test("killed again and again, it ends with the bytes of a run that nobody disturbed, whatever --jobs", async () => {
    const folder = temporaryFolder();
    for (let i = 0; i < 12; i++) await writeImage(join(folder, "set", "HR", `${i}.png`), picture(100 + i, 90, i));
    cpSync(join(folder, "set"), join(folder, "other"), { recursive: true });
    const args = ["--pipeline", "second-order", "--scale", "2", "--preview", "--backend", "cpu"];
    const whole = await deplsr(["degrade", "set/HR", "--jobs", "3", ...args], folder);
    expect([whole.code, whole.stdout]).toEqual([0, expect.stringContaining("12 images; what was done")]);
    const records = join(folder, "other", "RealLQ", "degraded.jsonl");
    const lines = (): number => (existsSync(records) ? readFileSync(records, "utf8").split("\n").length - 1 : 0);
    for (const stop of [3, 7]) {
      await killedAt(["degrade", "other/HR", "--jobs", "1", ...args], folder, () => lines() >= stop);
      expect(lines()).toBeGreaterThanOrEqual(stop);
      expect(lines()).toBeLessThan(12);
    }
    const { code, stdout } = await deplsr(["degrade", "other/HR", "--jobs", "2", ...args], folder);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^12 images \(\d+ of them by an earlier run\)/m);
    expect(filesOf(join(folder, "other"))).toEqual(filesOf(join(folder, "set")));
    expect(Object.keys(filesOf(join(folder, "set", "RealLQ")))).toHaveLength(14);
  });

  test("a list with a byte order mark and CRLF, a captioner, a contact sheet, and what is left out at the end", async () => {
    const folder = temporaryFolder();
    await writeImage(join(folder, "in", "a.png"), picture(40, 40));
    await writeImage(join(folder, "in", "b.jpg"), picture(50, 40, 1));
    writeFileSync(join(folder, "in", "half.png"), readFileSync(join(folder, "in", "a.png")).subarray(0, 700));
    writeFileSync(
      join(folder, "list.tsv"),
      "\uFEFFfilepath\ttitle\r\nin/a.png\ta cat\r\nin/b.jpg\t\r\nin/half.png\tx\r\nin/a.png\r\n",
    );
    writeFileSync(
      join(folder, "say.mjs"),
      "if (process.argv[2].endsWith('b.jpg')) process.exit(4); console.log('said');",
    );
    const args = ["degrade", "list.tsv", "--out", "data", "--size", "32", "--preview", "--json", "--backend", "cpu"];
    const ask = ["--caption-command", `'${process.execPath}' say.mjs {image}`];
    const { code, stdout, stderr } = await deplsr([...args, ...ask], folder);
    expect(code).toBe(0);
    const b = join(folder, "in", "b.jpg");
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      tsv: "data/degraded.tsv",
      records: "data/degraded.jsonl",
      preview: "data/preview.png",
      kept: 0,
      skipped: [{ name: "list.tsv line 5" }, { name: join(folder, "in", "half.png") }],
      captionless: [{ name: b, reason: expect.stringContaining(`ended with 4 for ${b}`) }],
    });
    expect(result.images.map(({ out }: { out: string }) => out)).toEqual(["data/in/a.png", "data/in/b.png"]);
    const last = stderr.slice(stderr.indexOf("warning: left out"));
    expect(last).toMatch(/^warning: left out 2 photographs or entries of lists:\n.*line 5.*\n.*half.png is truncated/);
    expect(last).toContain('warning: 1 caption failed; run again to try once more. Until then "a photo" stands for:');
    const table = (): string[] =>
      parseTable(readFileSync(join(folder, "data", "degraded.tsv"), "utf8"), "t").rows.map(({ title }) => title!);
    expect(table()).toEqual(["a cat", "a photo"]);
    expect((await readImage(join(folder, "data", "preview.png"))).width).toBe(12 + 2 * 236);
    writeFileSync(join(folder, "say.mjs"), "console.log('a dog');");
    const again = JSON.parse((await deplsr([...args, ...ask], folder)).stdout);
    expect([again.kept, again.captionless, table()]).toEqual([2, [], ["a cat", "a dog"]]);
    // And all of it once more from the records alone.
    expect((await deplsr(["degrade", "data/degraded.jsonl", "--out", "copy", "--backend", "cpu"], folder)).code).toBe(
      0,
    );
    const [data, copy] = [filesOf(join(folder, "data")), filesOf(join(folder, "copy"))];
    delete data["preview.png"];
    expect(copy).toEqual(data);
  });
});

/** Starts the command and kills it, without a chance to tidy up, as soon as a condition holds. */
async function killedAt(args: readonly string[], cwd: string, when: () => boolean): Promise<void> {
  const child = spawn(process.execPath, [LAUNCHER, ...args], { cwd, detached: true, stdio: "ignore" });
  let ended = false;
  const end = new Promise<void>((resolve) => {
    child.on("close", () => {
      ended = true;
      resolve();
    });
  });
  while (!when() && !ended) await new Promise((resolve) => setTimeout(resolve, 5));
  if (!ended) process.kill(-child.pid!, "SIGKILL");
  await end;
}
