import { readdirSync } from "node:fs";
import { join } from "node:path";

/** How the files begin by which Linux reaches GPUs: NVIDIA's and Tegra's, those of Windows under WSL, Adreno, Mali, PowerVR, Vivante. */
const GPU_FILE = /^(nvidia|nvhost|nvgpu|dxg|kgsl|mali|pvr|galcore)/;

/**
 * Whether a GPU can be here. On Linux it needs a file to be reached by; elsewhere, and where somebody names Vulkan drivers, it can.
 *
 * @param devices the folder of those files
 */
export function gpuPossible(devices = "/dev"): boolean {
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES, VK_ADD_DRIVER_FILES } = process.env;
  if (process.platform !== "linux" || VK_DRIVER_FILES || VK_ICD_FILENAMES || VK_ADD_DRIVER_FILES) return true;
  try {
    const names = readdirSync(devices);
    if (names.some((name) => GPU_FILE.test(name))) return true;
    return names.includes("dri") && readdirSync(join(devices, "dri")).some((name) => name.startsWith("renderD"));
  } catch {
    // Not to be read: nobody knows.
    return true;
  }
}
