/** The Brotli archives inside of `@sparticuz/chromium`, unpacked once per version of that package. */
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { access, mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";

/** What is unpacked. */
export interface Unpacking {
  /** The package's main file, as a `require.resolve` gives it. */
  readonly entry: string;
  /** Name of the folder, before the version. */
  readonly name: string;
  /** Files that make it whole. */
  readonly files: readonly string[];
  /** Writes them into `fresh`, which is called `folder` later on; `archive` reads an archive of the package. */
  readonly write: (fresh: string, folder: string, archive: (name: string) => Promise<Buffer>) => Promise<void>;
}

/**
 * The folder of unpacked files; unpacks them at the first call, into a cache folder: `$XDG_CACHE_HOME/deplsr`, `~/.cache/deplsr`, or a
 * folder of the user's own below the system's temporary one where the home cannot be written to. Several processes may do this at once.
 *
 * @throws Error where the package has another layout, or no folder can be written to.
 */
export async function unpackOnce({ entry, name, files, write }: Unpacking): Promise<string> {
  const root = packageRoot(entry);
  const version = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
  const folder = join(await cacheFolder(), `${name}-${version}`);
  if (await isComplete(folder, files)) return folder;
  // Beside `folder`, then renamed: whoever comes first wins, and nobody ever sees half of it.
  const fresh = `${folder}.${randomUUID()}`;
  try {
    await mkdir(fresh, { recursive: true });
    await write(fresh, folder, (archive) => readArchive(join(root, "bin", archive)));
    await rename(fresh, folder).catch(async (error: unknown) => {
      if (await isComplete(folder, files)) return;
      // What stands there is broken (a cleaner of temporary files took some of it): replace it.
      await rm(folder, { recursive: true, force: true });
      await rename(fresh, folder).catch(async () => {
        if (!(await isComplete(folder, files))) throw error;
      });
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** Regular files of a tar archive, by base name. Names here are short, so no extension of the format is needed. */
export function* tarEntries(tar: Uint8Array): Generator<[name: string, bytes: Uint8Array]> {
  const text = (start: number, length: number): string =>
    Buffer.from(tar.buffer, tar.byteOffset + start, length)
      .toString("latin1")
      .split("\0", 1)[0] ?? "";
  for (let at = 0; at + 512 <= tar.length; ) {
    const name = text(at, 100);
    if (name === "") return;
    const size = Number.parseInt(text(at + 124, 12), 8) || 0;
    const type = text(at + 156, 1);
    if (type === "0" || type === "") yield [name.split("/").pop() ?? name, tar.subarray(at + 512, at + 512 + size)];
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/** Walks up from a package's main file, because its `exports` hide everything else. */
function packageRoot(entry: string): string {
  for (let folder = dirname(entry); ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, "utf8")) as { name?: string }).name) return folder;
    if (folder === dirname(folder)) throw new Error(`no package.json above ${entry}`);
  }
}

async function readArchive(path: string): Promise<Buffer> {
  if (!existsSync(path)) throw new Error(`${path} is missing: install @sparticuz/chromium 147.0.0 again`);
  return promisify(brotliDecompress)(await readFile(path));
}

async function isComplete(folder: string, files: readonly string[]): Promise<boolean> {
  try {
    const sizes = await Promise.all(files.map(async (name) => (await stat(join(folder, name))).size));
    return sizes.every((size) => size > 0);
  } catch {
    return false;
  }
}

async function cacheFolder(): Promise<string> {
  const candidates: string[] = [];
  const xdg = process.env.XDG_CACHE_HOME;
  if (xdg?.startsWith("/")) candidates.push(join(xdg, "deplsr"));
  if (homedir() !== "") candidates.push(join(homedir(), ".cache", "deplsr"));
  const { uid } = userInfo();
  candidates.push(join(tmpdir(), `deplsr-${uid}`));
  const failures: string[] = [];
  for (const folder of candidates) {
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await access(folder, 2);
      // A driver is code that is loaded into this process: never out of a folder that somebody else made.
      if ((await stat(folder)).uid !== uid) throw new Error("belongs to another user");
      return folder;
    } catch (error) {
      failures.push(`${folder}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(
    `no folder to unpack @sparticuz/chromium into; set XDG_CACHE_HOME to one that can be written to (${failures.join("; ")})`,
  );
}
