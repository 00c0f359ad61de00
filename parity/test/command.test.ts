import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type StoredEntry, storedEntry, writeSafetensors } from "@deplsr/tensor";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parity } from "../src/command.ts";
import { diskFolder } from "../src/disk.ts";
import { loadFixtures } from "../src/folder.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "parity-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

const ROLES = { input: ["*.in.*", "*.grad_out"], forward: ["*.out"], gradient: ["*.grad.*"] };
const TOLERANCE = { forward: { rel: 1e-5 }, gradient: { rel: 1e-4, floor: 1e-6, scope: "case" } };

interface Change {
  readonly op?: string;
  readonly out?: readonly number[];
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A fixture of one case: out = a·b with the gradient of a. */
function fixture({ op = "mul", out = [3, 10, 21], attributes = {}, metadata = {} }: Change = {}): Uint8Array {
  const vector = (...values: number[]): StoredEntry => storedEntry(Float32Array.from(values), [3]);
  const config = {
    product: { op, inputs: { a: "a", b: "b" }, outputs: ["out"], gradients: ["a"], note: "text", ...attributes },
  };
  return writeSafetensors(
    [
      ["product.in.a", vector(1, 2, 3)],
      ["product.in.b", vector(3, 5, 7)],
      ["product.out", vector(...out)],
      ["product.grad_out", vector(1, -1, 2)],
      ["product.grad.a", vector(3, -5, 14)],
    ],
    {
      group: "ops",
      config: JSON.stringify(config),
      roles: JSON.stringify(ROLES),
      tolerance: JSON.stringify(TOLERANCE),
      ...metadata,
    },
  );
}

async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const code = await parity([folder, ...args], (line) => lines.push(line));
  return { code, lines };
}

describe("parity", () => {
  it("prints the adapter, a line for each case and the counts", async () => {
    write("any/name.safetensors", fixture());
    write("README.md", "text");
    const { code, lines } = await run();
    expect(code).toBe(0);
    expect(lines[0]).toMatch(/^(webgpu|cpu) on .+/);
    expect(lines[1]).toBe(
      "pass  any/name.safetensors product  abs 0  rel 0  tolerance rel 1e-5 (product.out, nearest of 2)",
    );
    expect(lines.slice(2)).toEqual(["1 passed, 0 failed"]);
  });

  it("fails what differs, what it does not understand and what it cannot read", async () => {
    write("a-values.safetensors", fixture({ out: [3, 10, 22] }));
    write("b-op.safetensors", fixture({ op: "hypot" }));
    write("c-attribute.safetensors", fixture({ attributes: { mode: "fast" } }));
    write("d-group.safetensors", fixture({ metadata: { group: "weather" } }));
    write("e-tolerance.safetensors", fixture({ metadata: { tolerance: '{"forward":{"ulp":4}}' } }));
    write("f-role.safetensors", fixture({ metadata: { roles: '{"input":["*.in.*"]}' } }));
    write("g-cut.safetensors", fixture().subarray(0, -4));
    write("h-unlisted.bin", "?");
    write("i-json.json", "{");
    write("j/index.json", JSON.stringify({ group: "clip", files: [{ file: "lost.png", expectation: "decodes" }] }));
    write("k-prototype.safetensors", fixture({ op: "toString", metadata: { group: "ops" } }));
    const { code, lines } = await run();
    expect(code).toBe(1);
    const problem = (start: string): string | undefined => lines.find((line) => line.startsWith(`FAIL  ${start}`));
    expect(problem("a-values")).toContain("21 at 2 instead of 22; 1 of 3 values differ too much");
    expect(problem("b-op")).toContain('the operation "hypot" is not understood');
    expect(problem("c-attribute")).toContain("product: mode not understood");
    expect(problem("d-group")).toContain('the group "weather" is not understood');
    expect(problem("e-tolerance")).toContain("tolerance.forward: ulp 4 is not understood");
    expect(problem("f-role")).toContain("has no role");
    expect(problem("g-cut")).toContain("it is cut off");
    expect(problem("h-unlisted")).toContain("nothing describes this file");
    expect(problem("i-json")).toContain("the file is not valid JSON");
    expect(problem("j/lost.png")).toContain("is listed in index.json, but missing");
    expect(problem("k-prototype")).toContain('the operation "toString" is not understood');
    expect(lines.at(-1)).toBe("0 passed, 11 failed");
  });

  it("runs the groups asked for, and fails those that are not there", async () => {
    write("a.safetensors", fixture());
    write("b.safetensors", fixture({ metadata: { group: "weather" } }));
    expect((await run("--only", "ops")).lines.at(-1)).toBe("1 passed, 0 failed");
    const { code, lines } = await run("--only", "ops,optim");
    expect(lines.slice(-2)).toEqual([`FAIL  ${folder} holds no fixture of the group "optim"`, "1 passed, 1 failed"]);
    expect(code).toBe(1);
  });

  it("tells in one line what is wrong with the command line or the folder", async () => {
    const failing = (...args: string[]): Promise<number> => parity(args, () => {});
    await expect(failing()).rejects.toThrow("which folder?");
    await expect(failing(folder, "x")).rejects.toThrow("one folder at a time");
    await expect(failing(folder, "--fast")).rejects.toThrow("--fast");
    await expect(failing(folder, "--adapter", "none")).rejects.toThrow("--adapter none: one of auto, hardware");
    await expect(failing(folder)).rejects.toThrow("holds no fixtures");
    await expect(failing(join(folder, "nowhere"))).rejects.toThrow("does not exist");
    write("file", "");
    await expect(failing(join(folder, "file"))).rejects.toThrow("is not a folder");
  });
});

describe("loadFixtures", () => {
  it("gives group and expectation of files that an index lists, and JSON as configuration", async () => {
    write(
      "clip/index.json",
      JSON.stringify({ group: "clip", files: [{ file: "a.png", group: "x", expectation: "decodes" }] }),
    );
    write("clip/a.png", "png");
    write("clip/rows.json", JSON.stringify({ group: "clip", cases: [1] }));
    const fixtures = [];
    for await (const one of loadFixtures(await diskFolder(folder))) fixtures.push(one);
    expect(fixtures).toMatchObject([
      { path: "clip/a.png", group: "x", expectation: "decodes", config: {} },
      { path: "clip/rows.json", group: "clip", expectation: "", config: { cases: [1] } },
    ]);
    const [png] = fixtures;
    if (!png || "problem" in png) throw new Error("not loaded");
    expect(new TextDecoder().decode(await png.sibling("rows.json"))).toContain("cases");
  });
});
