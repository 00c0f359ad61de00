import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Drivers that are asked for by name; a hardware GPU is what every Dawn takes by itself. */
const DRIVERS: Readonly<Record<string, RegExp>> = {
  system: /\/libvulkan_lvp\.so$/,
  swiftshader: /\/libvk_swiftshader\.so$/,
};

/**
 * The variables that make another process find the driver that ours runs on, and the Vulkan loader where the system has none.
 *
 * @param kind of adapter that ours has chosen.
 * @param libraries that our process has loaded, by their paths.
 */
export function driverEnvironment(kind: string | undefined, libraries: readonly string[]): Record<string, string> {
  const environment: Record<string, string> = {};
  const pattern = DRIVERS[kind ?? ""];
  const driver = pattern && libraries.find((path) => pattern.test(path));
  if (driver) {
    const file = join(mkdtempSync(join(tmpdir(), "deplsr-bench-")), "driver.json");
    const manifest = { file_format_version: "1.0.0", ICD: { library_path: driver, api_version: "1.3.0" } };
    writeFileSync(file, JSON.stringify(manifest));
    environment.VK_DRIVER_FILES = file;
    environment.VK_ICD_FILENAMES = file;
  }
  const loader = libraries.find((path) => /\/libvulkan\.so/.test(path));
  if (loader && !/^\/(usr\/|lib)/.test(loader)) {
    environment.LD_LIBRARY_PATH = [dirname(loader), process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  }
  return environment;
}

/**
 * Whether a process that has opened WebGPU uses the kind of adapter that ours uses. A software driver shows among its libraries, which is
 * all that ONNX Runtime lets us see; a GPU by not being called by a software driver's name.
 */
export function sharesAdapter(kind: string | undefined, adapter: string, libraries: readonly string[]): boolean {
  const pattern = DRIVERS[kind ?? ""];
  if (!pattern) return !/llvmpipe|swiftshader|basic render/i.test(adapter);
  return libraries.length === 0 || libraries.some((path) => pattern.test(path));
}

/** Switches off the caches in which drivers keep compiled shaders between processes (Mesa's and NVIDIA's). */
export const withoutShaderCache: Readonly<Record<string, string>> = {
  MESA_SHADER_CACHE_DISABLE: "true",
  __GL_SHADER_DISK_CACHE: "0",
};
