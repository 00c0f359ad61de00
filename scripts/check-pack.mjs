// Packs every package, installs the archives together in an empty project outside of this repository, and uses them there as anybody
// would: imported by plain Node, type-checked from a TypeScript file, and the command started. Prints OK for each.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

  const libraries = packages.filter(({ manifest }) => manifest.name !== "deplsr");
  const entries = libraries.flatMap(({ manifest }) =>
    Object.keys(manifest.exports).map((path) => `${manifest.name}${path.slice(1)}`),
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

  const help = run(process.execPath, [join(project, "node_modules/deplsr/bin/deplsr.js"), "--help"], project);
  if (!help.includes("deplsr")) throw new Error(`deplsr --help printed: ${help}`);
  console.log("OK deplsr: the command starts");
} catch (error) {
  // tsc reports on its standard output.
  const printed = error instanceof Error && "stdout" in error ? String(error.stdout) : "";
  console.error(`check-pack: ${error instanceof Error ? error.message : String(error)}\n${printed}`);
  process.exitCode = 1;
} finally {
  rmSync(outside, { recursive: true, force: true });
}
