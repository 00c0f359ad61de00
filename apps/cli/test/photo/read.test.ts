import { appendFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readPhoto, readPhotoFile } from "../../src/photo/read.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const changes: [what: string, change: (path: string) => void][] = [
  ["grows", (path) => appendFileSync(path, "more")],
  ["shrinks", (path) => truncateSync(path, 1000)],
  ["is written to", (path) => utimesSync(path, new Date(), new Date())],
];

test.each(changes)("a file that %s while it is read is refused", async (_, change) => {
  const path = join(temporaryFolder(), "a.jpg");
  writeFileSync(path, "");
  truncateSync(path, 2 ** 26);
  // Reading takes many turns of the event loop, of which some come after the first look at the file.
  const writer = setInterval(() => change(path), 1);
  try {
    await expect(readPhoto(path)).rejects.toThrow(
      `image: ${path} changed while it was read: wait until it is written to its end`,
    );
  } finally {
    clearInterval(writer);
  }
  expect((await readPhotoFile(path)).length).toBeGreaterThan(0);
});
