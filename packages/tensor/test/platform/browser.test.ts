import { afterEach, describe, expect, it } from "vitest";
import * as browser from "../../src/platform/browser.ts";
import { findAdapter } from "../../src/platform/node.ts";
import { doubled } from "./doubler.ts";

const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");

function setNavigator(value: unknown): void {
  Object.defineProperty(globalThis, "navigator", { value, configurable: true });
}

afterEach(() => {
  Reflect.deleteProperty(globalThis, "navigator");
  if (before) Object.defineProperty(globalThis, "navigator", before);
});

describe("findAdapter in a browser", () => {
  it("takes the adapter of navigator.gpu", async () => {
    setNavigator({ gpu: (await findAdapter("auto")).gpu });
    const found = await browser.findAdapter("auto");
    expect(found.kind).toBe("browser");
    expect((await doubled(found.adapter))[63]).toBe(126);
    const [row] = await browser.listAdapters();
    expect(row).toMatchObject({ kind: "browser", available: true });
  });

  it("says what to do where there is no WebGPU", async () => {
    setNavigator({});
    await expect(browser.findAdapter("auto")).rejects.toThrow("no WebGPU here: use a browser that has it");
    expect(await browser.listAdapters()).toMatchObject([{ available: false }]);
  });

  it("tells neither environment variables nor memory", () => {
    expect(browser.environment("PATH")).toBeUndefined();
    expect(browser.totalMemory()).toBeUndefined();
    expect(browser.platform).toBe("browser");
  });
});
