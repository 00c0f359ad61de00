import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { driverEnvironment, sharesAdapter } from "../src/driver.ts";

it("points other processes at the driver and the loader of ours", () => {
  const environment = driverEnvironment("swiftshader", [
    "/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so",
    "/home/me/.cache/deplsr/libvk_swiftshader.so",
    "/home/me/.cache/deplsr/libvulkan.so.1",
  ]);
  const file = environment.VK_DRIVER_FILES!;
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({
    ICD: { library_path: "/home/me/.cache/deplsr/libvk_swiftshader.so" },
  });
  expect(environment.VK_ICD_FILENAMES).toBe(file);
  expect(environment.LD_LIBRARY_PATH?.split(":")[0]).toBe("/home/me/.cache/deplsr");
});

it("leaves a GPU, which every library takes by itself, and the loader of the system alone", () => {
  const libraries = ["/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so", "/usr/lib/x86_64-linux-gnu/libvulkan.so.1.3.239"];
  expect(driverEnvironment("hardware", libraries)).toEqual({});
});

it("notices a peer that runs on something else", () => {
  expect(sharesAdapter("system", "its own choice", ["/usr/lib/libvulkan_lvp.so"])).toBe(true);
  expect(sharesAdapter("system", "its own choice", ["/cache/libvk_swiftshader.so"])).toBe(false);
  expect(sharesAdapter("hardware", "NVIDIA H100", [])).toBe(true);
  expect(sharesAdapter("hardware", "llvmpipe: Mesa 25", [])).toBe(false);
});
