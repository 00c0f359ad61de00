import { expect, test } from "vitest";
import { versions } from "../src/versions.ts";

test("the versions are those of what is installed", () => {
  const found = versions();
  expect(Object.keys(found)).toEqual(["node", "deplsr", "webgpu", "sharp", "libvips"]);
  for (const version of Object.values(found)) expect(version).toMatch(/^\d+\.\d+\.\d+/);
});
