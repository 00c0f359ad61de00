import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const tsx = pathToFileURL(require.resolve("tsx")).href;
const module = new URL("../../src/platform/swiftshader.ts", import.meta.url);
const entry = require.resolve("@sparticuz/chromium");
const script = `import { unpackSwiftShader } from ${JSON.stringify(fileURLToPath(module))};
console.log(JSON.stringify(await unpackSwiftShader(${JSON.stringify(entry)})));`;

let cache = "";
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "deplsr-cache-"));
});
afterEach(() => rmSync(cache, { recursive: true, force: true }));

async function unpack(environment: NodeJS.ProcessEnv): Promise<{ driverFile: string; loader: string }> {
  const command = ["--import", tsx, "--input-type=module", "--eval", script];
  const { stdout } = await run(process.execPath, command, { env: { ...process.env, ...environment } });
  return JSON.parse(stdout);
}

describe("unpackSwiftShader", () => {
  it("lets two processes unpack at once and leaves one whole folder", async () => {
    const [first, second] = await Promise.all([unpack({ XDG_CACHE_HOME: cache }), unpack({ XDG_CACHE_HOME: cache })]);
    expect(second).toEqual(first);
    expect(readdirSync(join(cache, "deplsr"))).toEqual(["swiftshader-147.0.0"]);
    const driver = JSON.parse(readFileSync(first.driverFile, "utf8")).ICD.library_path;
    expect(dirname(driver)).toBe(dirname(first.loader));
    for (const library of [driver, first.loader]) expect(readFileSync(library).subarray(1, 4).toString()).toBe("ELF");
  });

  it("repairs a folder that lost a file", async () => {
    const { loader } = await unpack({ XDG_CACHE_HOME: cache });
    const { size } = statSync(loader);
    truncateSync(loader, 0);
    await unpack({ XDG_CACHE_HOME: cache });
    expect(statSync(loader).size).toBe(size);
  });

  it("goes on to the temporary folder where neither cache can be written to", async () => {
    const home = "/dev/null/home";
    const { loader } = await unpack({ XDG_CACHE_HOME: "", HOME: home, TMPDIR: cache });
    expect(loader.startsWith(join(cache, "deplsr-"))).toBe(true);
  });
});
