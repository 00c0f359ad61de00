import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tarEntries, unpackOnce } from "./archive.ts";

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
 * SwiftShader out of `@sparticuz/chromium`, unpacked at the first call (`unpackOnce`).
 *
 * @param entry the main file of `@sparticuz/chromium`, as a `require.resolve` gives it.
 * @throws Error where the package has another layout, or no folder can be written to.
 */
export async function unpackSwiftShader(entry: string): Promise<SwiftShaderFiles> {
  const folder = await unpackOnce({
    entry,
    name: "swiftshader",
    files: [DRIVER, LOADER, DRIVER_FILE],
    write: async (fresh, folder, archive) => {
      const entries = new Map(tarEntries(await archive("swiftshader.tar.br")));
      for (const name of [DRIVER, LOADER]) {
        const bytes = entries.get(name);
        if (!bytes) throw new Error(`swiftshader.tar.br holds no ${name}: install @sparticuz/chromium 147.0.0`);
        await writeFile(join(fresh, name), bytes, { mode: 0o755 });
      }
      // The path is absolute because the one in the archive is relative to where Chromium keeps it.
      const manifest = {
        file_format_version: "1.0.0",
        ICD: { library_path: join(folder, DRIVER), api_version: "1.1.0" },
      };
      await writeFile(join(fresh, DRIVER_FILE), JSON.stringify(manifest));
    },
  });
  return { driverFile: join(folder, DRIVER_FILE), loader: join(folder, LOADER) };
}
