import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../temporary-folder.ts";
import { deplsr, start } from "./run-command.ts";

describe("deplsr", () => {
  test("runs its sources in a checkout, and they are what the published one does", async () => {
    const checkout = fileURLToPath(new URL("../../bin/deplsr.js", import.meta.url));
    const [sources, published] = [await start(["--help"], ".", {}, checkout).finished, await deplsr(["--help"], ".")];
    expect(sources).toEqual(published);
    expect(sources.code).toBe(0);
  });

  test("--help lists the commands, and each command shows options and examples", async () => {
    const folder = temporaryFolder();
    const { code, stdout } = await deplsr(["--help"], folder);
    expect(code).toBe(0);
    const names =
      "doctor degrade captions extract train evaluate diagnose classify visualize upscale test iqa convert inspect models demo";
    for (const name of names.split(" ")) expect(stdout).toContain(`deplsr ${name}`);
    const commands = [
      ["doctor"],
      ["degrade"],
      ["train", "srclip"],
      ["train", "sr"],
      ["evaluate"],
      ["diagnose"],
      ["classify"],
      ["upscale"],
      ["test"],
      ["visualize", "tsne"],
      ["demo"],
    ];
    for (const command of commands) {
      const help = await deplsr([...command, "--help"], folder);
      expect(help.code).toBe(0);
      expect(help.stdout).toContain("Examples:");
      expect(help.stdout).toContain("--json");
      expect(help.stdout).toContain("--adapter");
    }
    for (const command of [["captions"], ["captions", "fine"]]) {
      const help = await deplsr([...command, "--help"], folder);
      expect([help.code, help.stdout]).toEqual([0, expect.stringContaining("Examples:")]);
    }
  });

  test("wrong usage ends with 2 and one line", async () => {
    const folder = temporaryFolder();
    const wrong: [args: string[], message: RegExp][] = [
      [[], /say what to do/],
      [["paint"], /Unknown argument: paint \(see deplsr --help\)/],
      [["train"], /say what to train: srclip or sr \(see deplsr train --help\)/],
      [["train", "sr"], /--config is missing: the YAML file of the run, see options\/train/],
      [["iqa"], /\(see deplsr iqa --help\)/],
      [["iqa", "fit-niqe", "photos"], /\(see deplsr iqa fit-niqe --help\)/],
      [["doctor", "--colour", "red"], /Unknown argument: colour \(see deplsr doctor --help\)/],
      [["doctor", "--adapter", "quantum"], /Invalid values.* \(see deplsr doctor --help\)/],
      [["evaluate", "--checkpoint", "x"], /Missing required argument: data/],
      [["test", "--set", "scale=2"], /Missing required argument: config/],
      [["demo", "--steps", "many"], /--steps NaN must be a whole number of at least 1/],
      [["demo", "--seed", "-1"], /--seed -1 must be a whole number of at least 0/],
      [["evaluate", "--checkpoint", "a", "--data", "b", "--batch", "few"], /--batch NaN must be a whole number/],
      [
        ["upscale", "--assume", "imgRange", "a.png"],
        /--assume imgRange: write key=value, for instance --assume imgRange=255/,
      ],
      [["upscale", "a.png", "--tile", "3"], /--tile 3 must be a whole number from 16 to 16384/],
      [["upscale", "a.png", "--tile", "1e12"], /--tile 1000000000000 must be a whole number from 16 to 16384/],
      [["doctor", "--adapter", "system", "--adapter", "system"], /--adapter is given 2 times: give it once/],
      [["inspect"], /Not enough non-option arguments.* \(see deplsr inspect --help\)/],
      [["captions", "photos"], /Missing required argument: out \(see deplsr captions --help\)/],
      [["captions", "fine", "a.tsv", "b.png"], /b.png must end in .tsv or .csv/],
      [["convert", "a.pth", "b.onnx"], /b.onnx must end in .safetensors, .pth, .pt or .bin/],
    ];
    for (const [args, message] of wrong) {
      const { code, stdout, stderr } = await deplsr(args, folder);
      expect([args, code]).toEqual([args, 2]);
      expect(stdout).toBe("");
      expect(stderr).toMatch(/^error: [^\n]+\n$/);
      expect(stderr).toMatch(message);
    }
  });

  test("with --json a failure is one object on stdout: exit 2 for usage, 1 for the rest", async () => {
    const folder = temporaryFolder();
    const usage = await deplsr(["paint", "--json"], folder);
    expect(usage.code).toBe(2);
    expect(Object.keys(JSON.parse(usage.stdout))).toEqual(["error"]);
    writeFileSync(join(folder, "bad.yml"), "name: a\nmodel: ViT-B-32\ntrain_data: a.tsv\nsteps: 1\nlrate: 3\n");
    const failure = await deplsr(["train", "srclip", "--config", "bad.yml", "--json"], folder);
    expect(failure.code).toBe(1);
    expect(JSON.parse(failure.stdout)).toEqual({
      error: expect.stringMatching(/^config: bad.yml: unknown key "lrate": /),
    });
    expect(failure.stderr).not.toContain("    at ");
  });

  test("bad input ends with 1 and one line that says what to do", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "text.jpg"), "no picture");
    writeFileSync(join(folder, "t.tsv"), "filepath\ttitle\n");
    const bad: [args: string[], message: string][] = [
      [["degrade", "none.jpg", "--out", "out"], "input: none.jpg does not exist: check the path"],
      [["degrade", ".", "--out", "out", "--captions", "none.tsv"], "none.tsv does not exist"],
      [["upscale", "text.jpg"], "text.jpg is not an image but text"],
      [
        ["upscale", "text.jpg", "--model", "none"],
        "checkpoint: none does not exist: check the path, or give the name of a model in the box (realdat-x2",
      ],
      [["models", "realdat-x3"], 'models: there is no model "realdat-x3" in the box: is realdat-x'],
      [["upscale", "text.jpg", "--model", "t.tsv"], "t.tsv cannot be read: this is neither a PyTorch file"],
      [["inspect", "none.pth"], "checkpoint: none.pth does not exist: check the path"],
      [["convert", "t.tsv", "text.bin"], "t.tsv cannot be read: this is neither a PyTorch file"],
      [["demo", "text.jpg"], "text.jpg is not an image but text"],
      [["train", "sr", "--config", "none.yml"], "config: none.yml does not exist: check the path"],
    ];
    for (const [args, message] of bad) {
      const { code, stderr } = await deplsr(args, folder);
      expect([args, code]).toEqual([args, 1]);
      expect(stderr.trimEnd().split("\n").at(-1)).toMatch(/^error: /);
      expect(stderr).toContain(message);
    }
  });

  test("doctor measures both backends and tells which one is taken", async () => {
    const { code, stdout, stderr } = await deplsr(["doctor", "--json"], temporaryFolder());
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^WebGPU {2}.+\n {8}[\d.]+ GFLOP\/s: matmul \d+\^3 in [\d.]+ ms \(right, .*\n {8}tensors of up to /m,
    );
    expect(stderr).toMatch(
      /^CPU {5}WASM SIMD.* threads?\n {8}[\d.]+ GFLOP\/s: .* \(right, .*\n {8}4 GiB for all tensors/m,
    );
    const benchmark = { passed: true, milliseconds: expect.any(Number), gigaflops: expect.any(Number) };
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({
      node: process.versions.node,
      adapters: expect.arrayContaining([expect.objectContaining({ kind: "swiftshader" })]),
      backends: {
        webgpu: { info: { backend: "webgpu", adapter: expect.any(String) }, benchmark },
        cpu: { info: { backend: "cpu", limits: { threads: expect.any(Number) } }, benchmark },
      },
      chosen: { backend: expect.stringMatching(/^(webgpu|cpu)$/), reason: expect.any(String) },
    });
    expect(stderr).toContain(
      ` takes ${told.chosen.backend === "cpu" ? "the CPU" : told.chosen.adapter}: ${told.chosen.reason}`,
    );
  });

  test("doctor --backend measures that one only", async () => {
    const { code, stdout, stderr } = await deplsr(["doctor", "--backend", "cpu", "--json"], temporaryFolder());
    expect(code).toBe(0);
    expect(stderr).toContain("--backend cpu takes the CPU: the CPU was asked for");
    expect(Object.keys(JSON.parse(stdout).backends)).toEqual(["cpu"]);
  });
});
