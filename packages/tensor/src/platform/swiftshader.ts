import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { access, mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";

/** SwiftShader, unpacked: a software Vulkan driver, and a Vulkan loader for systems that have none. */
export interface SwiftShaderFiles {
  /** The file that tells a Vulkan loader where the driver is; its path goes into `VK_DRIVER_FILES`. */
  readonly driverFile: string;
  /** A `libvulkan.so.1`. */
  readonly loader: string;
}

const DRIVER = "libvk_swiftshader.so";
const LOADER = "libvulkan.so.1";
const DRIVER_FILE = "vk_swiftshader_icd.json";

/**
 * Unpacks SwiftShader out of `@sparticuz/chromium` into a cache folder, once per version of that package: `$XDG_CACHE_HOME/deplsr`,
 * `~/.cache/deplsr`, or a folder of the user's own below the system's temporary one where the home cannot be written to. Several
 * processes may do this at once.
 *
 * @param entry the main file of `@sparticuz/chromium`, as a `require.resolve` gives it.
 * @throws Error where the package has another layout, or no folder can be written to.
 */
export async function unpackSwiftShader(entry: string): Promise<SwiftShaderFiles> {
  const root = packageRoot(entry);
  const archive = join(root, "bin", "swiftshader.tar.br");
  if (!existsSync(archive)) throw new Error(`${archive} is missing: install @sparticuz/chromium 147.0.0 again`);
  const version = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
  const folder = join(await cacheFolder(), `swiftshader-${version}`);
  const files = { driverFile: join(folder, DRIVER_FILE), loader: join(folder, LOADER) };
  if (!(await isComplete(folder))) await unpackInto(folder, archive);
  return files;
}

/** Walks up from a package's main file, because its `exports` hide everything else. */
function packageRoot(entry: string): string {
  for (let folder = dirname(entry); ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, "utf8")) as { name?: string }).name) return folder;
    if (folder === dirname(folder)) throw new Error(`no package.json above ${entry}`);
  }
}

async function isComplete(folder: string): Promise<boolean> {
  try {
    const sizes = await Promise.all(
      [DRIVER, LOADER, DRIVER_FILE].map(async (name) => (await stat(join(folder, name))).size),
    );
    return sizes.every((size) => size > 0);
  } catch {
    return false;
  }
}

/** Unpacks beside `folder` and renames: whoever comes first wins, and nobody ever sees half of it. */
async function unpackInto(folder: string, archive: string): Promise<void> {
  const fresh = `${folder}.${randomUUID()}`;
  try {
    await mkdir(fresh, { recursive: true });
    const tar = await promisify(brotliDecompress)(readFileSync(archive));
    const entries = new Map(tarEntries(tar));
    for (const name of [DRIVER, LOADER]) {
      const bytes = entries.get(name);
      if (!bytes) throw new Error(`${archive} holds no ${name}: install @sparticuz/chromium 147.0.0`);
      await writeFile(join(fresh, name), bytes, { mode: 0o755 });
    }
    // The path is absolute because the one in the archive is relative to where Chromium keeps it.
    const manifest = {
      file_format_version: "1.0.0",
      ICD: { library_path: join(folder, DRIVER), api_version: "1.1.0" },
    };
    await writeFile(join(fresh, DRIVER_FILE), JSON.stringify(manifest));
    await rename(fresh, folder).catch(async (error: unknown) => {
      if (await isComplete(folder)) return;
      // What stands there is broken (a cleaner of temporary files took some of it): replace it.
      await rm(folder, { recursive: true, force: true });
      await rename(fresh, folder).catch(async () => {
        if (!(await isComplete(folder))) throw error;
      });
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Regular files of a tar archive, by base name. Names here are short, so no extension of the format is needed. */
function* tarEntries(tar: Uint8Array): Generator<[name: string, bytes: Uint8Array]> {
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
    `no folder to unpack SwiftShader into; set XDG_CACHE_HOME to one that can be written to (${failures.join("; ")})`,
  );
}
