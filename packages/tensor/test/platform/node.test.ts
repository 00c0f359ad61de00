import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, it, vi } from "vitest";
import { environment, findAdapter, gpuPossible, listAdapters, platform, totalMemory } from "../../src/platform/node.ts";
import { doubled } from "./doubler.ts";

const run = promisify(execFile);
const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
const sources = fileURLToPath(new URL("../../src/platform/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "deplsr-platform-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const EVERY_NUMBER = Array.from({ length: 64 }, (_, index) => 2 * index);

describe("findAdapter", () => {
  it("finds one that computes, and says why it took it", async () => {
    const found = await findAdapter("auto");
    expect(["hardware", "system", "swiftshader"]).toContain(found.kind);
    expect(found.reason).not.toBe("");
    expect(found.reason).not.toContain("\n");
    expect(await doubled(found.adapter)).toEqual(EVERY_NUMBER);
  });

  it("gives the kind that is asked for, one beside the other in one process", async () => {
    const available = (await listAdapters()).filter((row) => row.available).map((row) => row.kind);
    expect(available.length).toBeGreaterThan(0);
    for (const kind of [...available, ...available]) {
      const found = await findAdapter(kind as "hardware" | "system" | "swiftshader");
      expect(found.kind).toBe(kind);
      expect(await doubled(found.adapter)).toEqual(EVERY_NUMBER);
    }
  });

  it("gives each kind as the first that a process asks for", async () => {
    for (const { kind } of (await listAdapters()).filter((row) => row.available)) {
      const script = `import { findAdapter } from ${JSON.stringify(join(sources, "node.ts"))};
        console.log((await findAdapter("${kind}")).kind);`;
      const { stdout } = await run(process.execPath, ["--import", tsx, "--input-type=module", "--eval", script]);
      expect(stdout.trim()).toBe(kind);
    }
  });

  it("leaves the driver variables of the process as they were", async () => {
    const before = [process.env.VK_DRIVER_FILES, process.env.VK_ICD_FILENAMES];
    await Promise.allSettled([findAdapter("swiftshader"), findAdapter("auto"), findAdapter("system")]);
    expect([process.env.VK_DRIVER_FILES, process.env.VK_ICD_FILENAMES]).toEqual(before);
  });

  it("names what to install where the webgpu package is missing", async () => {
    // Outside of the workspace nothing is installed.
    const outside = join(folder, "outside");
    cpSync(sources, outside, { recursive: true });
    writeFileSync(join(outside, "package.json"), `{ "type": "module" }`);
    const script = `import { findAdapter } from "./node.ts"; await findAdapter("auto").catch((e) => console.log(e.message));`;
    const { stdout } = await run(process.execPath, ["--import", tsx, "--input-type=module", "--eval", script], {
      cwd: outside,
    });
    expect(stdout.trim()).toBe("no WebGPU in Node: the package webgpu is not installed\nnpm install webgpu@0.6.2");
  });
});

/** Where SwiftShader's package is for. */
const linux = process.platform === "linux" && process.arch === "x64";

describe("a machine without a driver and without @sparticuz/chromium", () => {
  const find = async (choice: string): Promise<string> => {
    const outside = mkdtempSync(join(folder, "no-driver-"));
    cpSync(sources, outside, { recursive: true });
    writeFileSync(join(outside, "package.json"), `{ "type": "module" }`);
    mkdirSync(join(outside, "node_modules"));
    const webgpu = dirname(createRequire(import.meta.url).resolve("webgpu/package.json"));
    symlinkSync(webgpu, join(outside, "node_modules", "webgpu"));
    const script = `import { findAdapter } from "./node.ts";
      await findAdapter("${choice}").catch((e) => console.log(e.message));
      process.exit();`;
    const { stdout } = await run(process.execPath, ["--import", tsx, "--input-type=module", "--eval", script], {
      cwd: outside,
      env: { ...process.env, VK_DRIVER_FILES: join(outside, "none.json") },
    });
    return stdout.trim();
  };

  it.runIf(linux)("says how to install SwiftShader, to who asks for that", async () => {
    expect(await find("swiftshader")).toBe(
      "no SwiftShader: the package @sparticuz/chromium is not installed\n" +
        "(npm install @sparticuz/chromium@147.0.0 in the current folder)",
    );
  });

  it.runIf(linux)("says how to install it, to who asks for any adapter", async () => {
    expect((await find("auto")).split("\n").at(-1)).toBe(
      "install a Vulkan driver (Debian, Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1) or, on Linux x64, " +
        "SwiftShader (npm install @sparticuz/chromium@147.0.0 in the current folder)",
    );
  });
});

describe("listAdapters", () => {
  it("answers for each kind, with a name, and a reason where there is none", async () => {
    const rows = await listAdapters();
    expect(rows.map((row) => row.kind)).toEqual(["hardware", "system", "swiftshader"]);
    for (const row of rows) {
      expect(row.name).not.toBe("");
      if (!row.available) expect(row.detail).toMatch(/^no .+: /);
    }
  });
});

describe("gpuPossible", () => {
  const withFiles = (...files: readonly string[]): string => {
    const devices = mkdtempSync(join(folder, "dev-"));
    for (const file of files) {
      mkdirSync(dirname(join(devices, file)), { recursive: true });
      writeFileSync(join(devices, file), "");
    }
    return devices;
  };

  it.runIf(process.platform === "linux").each([
    [["null", "tty", "kvm"], false],
    [["dri/card0"], false],
    [["dri/renderD128"], true],
    [["nvidia0", "nvidiactl"], true],
    [["dxg"], true],
    [["mali0"], true],
  ])("%j: %s", (files, possible) => {
    expect(gpuPossible(withFiles(...files))).toBe(possible);
  });

  it("is true where nobody knows, and where drivers are named", () => {
    expect(gpuPossible(join(folder, "nowhere"))).toBe(true);
    const devices = withFiles("null");
    vi.stubEnv("VK_DRIVER_FILES", "/drivers/one.json");
    expect(gpuPossible(devices)).toBe(true);
    vi.unstubAllEnvs();
  });

  it("keeps the search for a device silent: not a line on stderr where the CPU or SwiftShader computes", async () => {
    const script = `import { Device } from ${JSON.stringify(join(sources, "../index.ts"))};
      const device = await Device.request();
      console.log(device.info.kind);
      device.destroy();`;
    for (const adapter of ["auto", "swiftshader"]) {
      const args = ["--conditions", "@deplsr/source", "--import", tsx, "--input-type=module", "--eval", script];
      const env = { ...process.env, DEPLSR_BACKEND: "auto", DEPLSR_ADAPTER: adapter };
      const { stdout, stderr } = await run(process.execPath, args, { env });
      // What Dawn says of a GPU's driver is the driver's affair.
      if (stdout.trim() !== "hardware") expect(stderr).toBe("");
    }
  });
});

describe("environment", () => {
  it("reads variables, and takes an empty one for none", () => {
    process.env.DEPLSR_TEST_VARIABLE = "on";
    expect(environment("DEPLSR_TEST_VARIABLE")).toBe("on");
    process.env.DEPLSR_TEST_VARIABLE = "";
    expect(environment("DEPLSR_TEST_VARIABLE")).toBeUndefined();
    delete process.env.DEPLSR_TEST_VARIABLE;
    expect(platform).toBe("node");
  });
});

describe("totalMemory", () => {
  it("is what the process may use", () => {
    expect(totalMemory()).toBeGreaterThan(2 ** 26);
    expect(totalMemory()).toBeLessThanOrEqual(totalmem());
  });
});
