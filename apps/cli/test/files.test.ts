import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { checkPlace, type OpenFile, sortedNames, writeFileAtomic, writeFolderAtomic } from "../src/files.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** A file on a disk without space: the kernel's own device for that. */
const openFull: OpenFile = (path) => {
  writeFileSync(path, "the first half");
  return open("/dev/full", "w");
};

describe("writeFileAtomic", () => {
  test("writes bytes and text, makes folders, replaces what stood there", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a", "b", "file.txt");
    await writeFileAtomic(path, "one");
    await writeFileAtomic(path, new TextEncoder().encode("zwölf"));
    expect(readFileSync(path, "utf8")).toBe("zwölf");
    expect(readdirSync(join(folder, "a", "b"))).toEqual(["file.txt"]);
  });

  test("many at once make the folders that they share", async () => {
    const folder = temporaryFolder();
    const paths = Array.from({ length: 40 }, (_, i) => join(folder, "a", "b", `${i}`, "file"));
    await Promise.all(paths.map((path) => writeFileAtomic(path, "x")));
    for (const path of paths) expect(readFileSync(path, "utf8")).toBe("x");
  });

  test("writes a file piece by piece, whole or not at all", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "file");
    const parts = ["one", "zwölf", ""].map((text) => new TextEncoder().encode(text));
    await writeFileAtomic(path, async (write) => {
      for (const part of parts) await write(part);
      expect(readdirSync(folder)).toHaveLength(1);
      expect(existsSync(path)).toBe(false);
    });
    expect(readFileSync(path, "utf8")).toBe("onezwölf");
    const failing = writeFileAtomic(path, async (write) => {
      await write(parts[0]!);
      throw new Error("no more");
    });
    await expect(failing).rejects.toThrow("no more");
    expect(readFileSync(path, "utf8")).toBe("onezwölf");
    expect(readdirSync(folder)).toEqual(["file"]);
  });

  test("a full disk gives one line, leaves the old file and no temporary one", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "model.safetensors");
    await writeFileAtomic(path, "old");
    await expect(writeFileAtomic(path, new Uint8Array(1000), openFull)).rejects.toThrow(
      `write: no space left on the disk for ${path} (1000 bytes): free some space or choose another folder`,
    );
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["model.safetensors"]);
  });

  test("a path through a file, and a path that is a folder, say so", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "file"), "");
    await expect(writeFileAtomic(join(folder, "file", "x"), "")).rejects.toThrow("is a file, not a folder");
    mkdirSync(join(folder, "sub", "inner"), { recursive: true });
    await expect(writeFileAtomic(join(folder, "sub"), "")).rejects.toThrow("is a folder: give a file name");
  });

  // Only Linux has a folder that is known to refuse every other one in it as missing.
  test.runIf(process.platform === "linux")(
    "a folder that cannot be made where its parent is there ends at once",
    async () => {
      await expect(writeFileAtomic("/proc/deplsr/folder/file", "")).rejects.toThrow(
        /^write: .* cannot be written \(ENOENT/,
      );
    },
  );

  test("whatever else the system refuses names the file that was to be written", async () => {
    const path = join(temporaryFolder(), "x".repeat(300));
    await expect(writeFileAtomic(path, "")).rejects.toMatchObject({
      name: "UserError",
      message: expect.stringMatching(/^write: \S*x{300} cannot be written \(ENAMETOOLONG: .*\): choose another path$/),
    });
  });

  test("a process that leaves in the middle of writing leaves nothing behind", () => {
    const folder = temporaryFolder();
    const source = fileURLToPath(new URL("../src/files.ts", import.meta.url));
    const program = `
      import { writeFileSync } from "node:fs";
      import { writeFileAtomic, writeFolderAtomic } from ${JSON.stringify(source)};
      const slow = async (path) => {
        writeFileSync(path, "half");
        return { writeFile: () => new Promise(() => {}), sync: async () => {}, close: async () => {} };
      };
      void writeFileAtomic(${JSON.stringify(join(folder, "a.bin"))}, "whole", slow);
      void writeFolderAtomic(${JSON.stringify(join(folder, "step-3"))}, async (inside) => {
        writeFileSync(inside + "/part", "half");
        await new Promise(() => {});
      });
      setTimeout(() => process.exit(130), 300);
    `;
    const child = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program]);
    expect(child.status).toBe(130);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("checkPlace", () => {
  test("makes the folders of a file that can be written, and nothing else", async () => {
    const folder = temporaryFolder();
    await checkPlace(join(folder, "a", "b", "file"));
    expect(readdirSync(folder, { recursive: true }).sort()).toEqual(["a", join("a", "b")]);
    writeFileSync(join(folder, "file"), "old");
    await checkPlace(join(folder, "file"));
    expect(readFileSync(join(folder, "file"), "utf8")).toBe("old");
  });

  test("refuses what writing would", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "file"), "");
    await expect(checkPlace(join(folder, "file", "x"))).rejects.toThrow("is a file, not a folder");
    await expect(checkPlace(folder)).rejects.toThrow(`write: ${folder} is a folder: give a file name`);
    await expect(checkPlace(join(folder, "x".repeat(300)))).rejects.toThrow("ENAMETOOLONG");
    expect(readdirSync(folder)).toEqual(["file"]);
  });
});

describe("writeFolderAtomic", () => {
  test("replaces an old folder as a whole", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "step-1");
    await writeFolderAtomic(path, async (inside) => writeFileAtomic(join(inside, "old"), "1"));
    await writeFolderAtomic(path, async (inside) => writeFileAtomic(join(inside, "new"), "2"));
    expect(readdirSync(path)).toEqual(["new"]);
    expect(readdirSync(folder)).toEqual(["step-1"]);
  });

  test("keeps the old folder when filling the new one fails", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "step-1");
    await writeFolderAtomic(path, async (inside) => writeFileAtomic(join(inside, "old"), "1"));
    const failing = writeFolderAtomic(path, (inside) => writeFileAtomic(join(inside, "new"), "2", openFull));
    await expect(failing).rejects.toThrow("no space left on the disk");
    expect(readdirSync(path)).toEqual(["old"]);
    expect(readdirSync(folder)).toEqual(["step-1"]);
  });
});

test("sortedNames names a missing folder and a file", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "b"), "");
  writeFileSync(join(folder, "a"), "");
  expect(await sortedNames(folder)).toEqual(["a", "b"]);
  await expect(sortedNames(join(folder, "none"))).rejects.toThrow("does not exist: check the path");
  await expect(sortedNames(join(folder, "a"))).rejects.toThrow("is a file, a folder was expected");
  expect(existsSync(join(folder, "none"))).toBe(false);
});
