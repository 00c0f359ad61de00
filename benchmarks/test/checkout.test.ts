import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { commitOf, openCheckout } from "../src/checkout.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deplsr-checkout-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const make = (path: string): string => {
  mkdirSync(join(folder, path), { recursive: true });
  return join(folder, path);
};

it("finds what runs in another checkout, and its commit", () => {
  const here = fileURLToPath(new URL("../../", import.meta.url));
  const { script, commit } = openCheckout(here);
  expect(script.href).toBe(new URL("../src/child.ts", import.meta.url).href);
  expect(commit).toBe(commitOf());
});

it("refuses what is none, has nothing installed, or would run the packages of another", () => {
  expect(() => openCheckout(join(folder, "nowhere"))).toThrow("nowhere is no checkout of this repository");
  expect(() => openCheckout(folder)).toThrow(
    `${folder} is no checkout of this repository: it has no benchmarks/src/child.ts`,
  );
  writeFileSync(join(make("benchmarks/src"), "child.ts"), "");
  const tensor = make("packages/tensor");
  expect(() => openCheckout(folder)).toThrow(`${folder} has nothing installed: run npm ci there`);
  const modules = make("node_modules/@deplsr");
  symlinkSync(make("elsewhere/tensor"), join(modules, "tensor"), "junction");
  expect(() => openCheckout(folder)).toThrow("has the node_modules of another checkout");
  rmSync(join(modules, "tensor"));
  symlinkSync(tensor, join(modules, "tensor"), "junction");
  expect(openCheckout(folder).commit).toBe("unknown");
});
