import { appendFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readPhoto, readPhotoFile } from "../../src/photo/read.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const BYTES = 2 ** 26;
/** Each goes on changing: how often it does so before the first look at the file is not known. */
const changes: [what: string, change: (path: string, turn: number) => void][] = [
  ["grows", (path) => appendFileSync(path, "more")],
  ["shrinks", (path, turn) => truncateSync(path, BYTES - 1000 * turn)],
  ["is written to", (path) => utimesSync(path, new Date(), new Date())],
];

test.each(changes)("a file that %s while it is read is refused", async (_, change) => {
  const path = join(temporaryFolder(), "a.jpg");
  writeFileSync(path, "");
  truncateSync(path, BYTES);
  // Reading takes many turns of the event loop, of which some come after the first look at the file.
  let turn = 0;
  const writer = setInterval(() => change(path, ++turn), 1);
  try {
    await expect(readPhoto(path)).rejects.toThrow(
      `image: ${path} changed while it was read: wait until it is written to its end`,
    );
  } finally {
    clearInterval(writer);
  }
  expect((await readPhotoFile(path)).length).toBeGreaterThan(0);
});
