/**
 * The command as it is published: plain JavaScript, which Node starts four times as fast as sources through tsx. Written from this checkout's
 * sources for one run of the tests, which start the command a few hundred times.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { transformWithEsbuild } from "vite";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** A specifier of a file beside it, in what esbuild prints. */
const RELATIVE = /\b(from |import |import\()("\.{1,2}\/[^"]+)\.ts"/g;

/** Lays all packages out in an empty folder. @returns the command's launcher there */
export async function publish(folder: string): Promise<string> {
  const modules = join(folder, "node_modules");
  for (const installed of ["apps/cli/node_modules", "node_modules"]) link(join(root, installed), modules);
  const libraries = readdirSync(join(root, "packages")).map((name) => join("packages", name));
  for (const name of [...libraries, "apps/cli"]) await publishPackage(join(root, name), modules);
  return join(modules, "deplsr/bin/deplsr.js");
}

/** Installed packages are found where they are; ours are not, but as they are published. */
function link(from: string, to: string): void {
  if (!existsSync(from)) return;
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    if (name.startsWith(".") || name === "@deplsr" || name === "deplsr") continue;
    if (name.startsWith("@")) link(join(from, name), join(to, name));
    else if (!existsSync(join(to, name))) symlinkSync(join(from, name), join(to, name), "junction");
  }
}

async function publishPackage(from: string, modules: string): Promise<void> {
  const manifest: { readonly name: string; readonly files: readonly string[] } = JSON.parse(
    readFileSync(join(from, "package.json"), "utf8"),
  );
  const to = join(modules, manifest.name);
  mkdirSync(to, { recursive: true });
  cpSync(join(from, "package.json"), join(to, "package.json"));
  for (const name of manifest.files) {
    if (name === "bin") cpSync(join(from, name), join(to, name), { recursive: true });
    else if (name !== "dist" && name !== "src" && existsSync(join(from, name))) {
      symlinkSync(join(from, name), join(to, name), "junction");
    }
  }
  const sources = readdirSync(join(from, "src"), { recursive: true, withFileTypes: true });
  const files = sources.filter((entry) => entry.isFile());
  await Promise.all(
    files.map(({ parentPath, name }) =>
      compile(join(parentPath, name), join(to, "dist", relative(join(from, "src"), parentPath))),
    ),
  );
}

async function compile(path: string, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const name = basename(path);
  if (!name.endsWith(".ts")) return cpSync(path, join(folder, name));
  const { code } = await transformWithEsbuild(readFileSync(path, "utf8"), path, {
    target: "node20.19",
    sourcemap: false,
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  });
  writeFileSync(join(folder, name.replace(/\.ts$/, ".js")), code.replace(RELATIVE, '$1$2.js"'));
}
