// Packs every package, installs the archives together in an empty project outside of this repository, and uses them there as anybody
// would: imported by plain Node, type-checked from a TypeScript file, and the command started and its demo run. Prints OK for each.
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const outside = mkdtempSync(join(tmpdir(), "deplsr-pack-"));
const archives = join(outside, "archives");
const project = join(outside, "project");
mkdirSync(archives);
mkdirSync(project);

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 * @returns {string} what it printed
 */
function run(command, args, cwd) {
  const shell = process.platform === "win32";
  return execFileSync(command, args, { cwd, shell, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

const packages = ["packages", "apps"]
  .flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(root, folder, name)))
  .filter((folder) => existsSync(join(folder, "package.json")))
  .map((folder) => ({ folder, manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) }))
  .filter(({ manifest }) => !manifest.private);

try {
  run("npx", ["turbo", "run", "build", "--output-logs=errors-only"], root);
  for (const { folder, manifest } of packages) {
    for (const file of ["LICENSE", "README.md"]) {
      if (!existsSync(join(folder, file))) throw new Error(`${manifest.name}: ${file} is missing in ${folder}`);
    }
  }
  const workspaces = packages.flatMap(({ manifest }) => ["--workspace", manifest.name]);
  run("npm", ["pack", "--silent", "--pack-destination", archives, ...workspaces], root);

  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "outside", private: true, type: "module" }));
  const files = readdirSync(archives).map((name) => join(archives, name));
  run(
    "npm",
    ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", ...files],
    project,
  );

  const lock = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8"));
  const unwanted = Object.keys(lock.packages).filter((path) => /node_modules\/@(sparticuz|stdlib)\//.test(path));
  if (unwanted.length > 0) throw new Error(`installed without need: ${unwanted.join(", ")}`);
  const installed = join(project, "node_modules");
  const bytes = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  console.log(`OK node_modules: no Chromium, ${(bytes / 1e6).toFixed(0)} MB`);

  const libraries = packages.filter(({ manifest }) => manifest.name !== "deplsr");
  // A pattern stands for files that are no modules, and data is none either.
  const entries = libraries.flatMap(({ manifest }) =>
    Object.keys(manifest.exports)
      .filter((path) => !path.includes("*") && !path.endsWith(".json"))
      .map((path) => `${manifest.name}${path.slice(1)}`),
  );
  for (const entry of entries) {
    const script = `console.log(Object.keys(await import(${JSON.stringify(entry)})).length)`;
    const count = run(process.execPath, ["--input-type=module", "--eval", script], project).trim();
    console.log(`OK ${entry}: imported by Node, ${count} exports`);
  }

  writeFileSync(
    join(project, "use.ts"),
    entries.map((entry, index) => `import * as m${index} from "${entry}";\nexport { m${index} };\n`).join(""),
  );
  const options = [
    "--noEmit",
    "--strict",
    "--target",
    "ES2022",
    "--module",
    "NodeNext",
    "--lib",
    "ES2022,ESNext.Disposable,DOM",
  ];
  run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), ...options, "use.ts"], project);
  for (const entry of entries) console.log(`OK ${entry}: types resolve under NodeNext`);

  const deplsr = join(project, "node_modules/deplsr/bin/deplsr.js");
  /** @param {string[]} args */
  const start = (args) => spawnSync(process.execPath, [deplsr, ...args], { cwd: project, encoding: "utf8" });
  const help = start(["--help"]).stdout;
  if (!help.includes("deplsr")) throw new Error(`deplsr --help printed: ${help}`);
  console.log("OK deplsr: the command starts");
  const demo = start(["demo", "--backend", "cpu", "--steps", "2", "--json"]);
  if (demo.status !== 0) throw new Error(`deplsr demo ended with ${demo.status}: ${demo.stderr}`);
  const { report, seconds } = JSON.parse(demo.stdout);
  if (!existsSync(join(project, report))) throw new Error(`deplsr demo wrote no ${report}`);
  console.log(`OK deplsr: the demo runs on the CPU, in ${seconds.total.toFixed(0)} s with two steps`);
  // From a folder of its own, in processes that cannot connect to anything.
  const elsewhere = join(outside, "elsewhere");
  mkdirSync(elsewhere);
  const offline =
    'import net from "node:net"; net.Socket.prototype.connect = () => { throw new Error("the network was used"); };';
  const photograph = join(installed, "@deplsr/models/photographs/deer.jpg");
  for (const scale of [2, 4]) {
    const words = ["upscale", photograph, "--backend", "cpu", "--scale", String(scale), "--json"];
    const model = `RealDAT x${scale} of realdat-x${scale}`;
    const { status, stdout, stderr } = spawnSync(process.execPath, [deplsr, ...words], {
      cwd: elsewhere,
      encoding: "utf8",
      env: { ...process.env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(offline)}` },
    });
    if (status !== 0) throw new Error(`deplsr upscale without network ended with ${status}: ${stderr}`);
    const [{ out, width }] = JSON.parse(stdout).images;
    if (width !== 384 * scale || !existsSync(join(elsewhere, out)) || !stderr.includes(model)) {
      throw new Error(`deplsr upscale --scale ${scale} gave ${stdout} ${stderr}`);
    }
    console.log(`OK deplsr: ${out} by ${model}, without network`);
  }
  if (process.platform === "linux" && process.arch === "x64") {
    const { status, stderr } = start(["doctor", "--backend", "webgpu", "--adapter", "swiftshader"]);
    const last = stderr.trimEnd().split("\n").at(-1) ?? "";
    if (status !== 1 || !last.startsWith("error: ") || !last.includes("npm install @sparticuz/chromium@")) {
      throw new Error(`deplsr doctor --adapter swiftshader ended with ${status}: ${stderr}`);
    }
    console.log(`OK deplsr: without Chromium, ${last}`);
  }
} catch (error) {
  // tsc reports on its standard output.
  const printed = error instanceof Error && "stdout" in error ? String(error.stdout) : "";
  console.error(`check-pack: ${error instanceof Error ? error.message : String(error)}\n${printed}`);
  process.exitCode = 1;
} finally {
  rmSync(outside, { recursive: true, force: true });
}
