/**
 * Installs the photographs that the models in the box learn from: those of `data/photographs.tsv`, out of npm and Debian packages.
 *
 *     npm run install-photographs [-- FOLDER]        default: data/photographs
 *
 * Each becomes a PNG of at most 1600 pixels a side, below `train` or `val`, with its caption in `train.tsv` or `val.tsv`. What is there
 * already stays. Debian's need `apt-get` and `dpkg-deb` (Debian bookworm); a file that is not the one of the table is refused.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";

/** Longer ones are made smaller, which also takes the traces of their compression out. */
const LONGEST_SIDE = 1600;
const TABLE = new URL("../data/photographs.tsv", import.meta.url);

const [header = "", ...lines] = readFileSync(TABLE, "utf8").trimEnd().split("\n");
const columns = header.split("\t");
const photographs = lines.map((line) => {
  const cells = line.split("\t");
  const cell = (name: string): string => cells[columns.indexOf(name)]!;
  const [name, split, title] = [cell("name"), cell("split"), cell("title")];
  return { name, split, title, source: cell("package"), path: cell("filepath"), sha256: cell("sha256") };
});
type Photograph = (typeof photographs)[number];

const folder = process.argv[2] ?? "data/photographs";
const place = ({ split, name }: Photograph): string => join(folder, split, `${name}.png`);
for (const split of ["train", "val"]) mkdirSync(join(folder, split), { recursive: true });
const missing = photographs.filter((photograph) => !existsSync(place(photograph)));
for (const source of new Set(missing.map((photograph) => photograph.source))) {
  const unpacked = mkdtempSync(join(tmpdir(), "deplsr-photographs-"));
  try {
    console.log(source);
    unpack(source, unpacked);
    for (const photograph of missing.filter((one) => one.source === source)) await convert(photograph, unpacked);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    console.error(`install-photographs: ${source}: ${reason}`);
    process.exitCode = 1;
  } finally {
    rmSync(unpacked, { recursive: true });
  }
}
const there = photographs.filter((photograph) => existsSync(place(photograph))).length;
// The lists come last: where they are, all is.
for (const split of there === photographs.length ? ["train", "val"] : []) {
  const rows = photographs
    .filter((one) => one.split === split)
    .map(({ name, title }) => `${split}/${name}.png\t${title}`);
  writeFileSync(join(folder, `${split}.tsv`), `${["filepath\ttitle", ...rows].join("\n")}\n`);
}
console.log(`${there} of ${photographs.length} photographs in ${folder}`);

/** Unpacks `npm:NAME@VERSION` or `deb:NAME=VERSION`. */
function unpack(source: string, into: string): void {
  const run = (command: string, args: readonly string[]): void => {
    execFileSync(command, args, { cwd: into, stdio: ["ignore", "ignore", "pipe"] });
  };
  const [kind, name = ""] = source.split(/:(.*)/s);
  const npm = kind === "npm";
  if (npm) run("npm", ["pack", "--silent", name]);
  else run("apt-get", ["download", name]);
  const archive = readdirSync(into)[0]!;
  if (npm) run("tar", ["xzf", archive, "--strip-components=1"]);
  else run("dpkg-deb", ["-x", archive, "."]);
}

async function convert(photograph: Photograph, unpacked: string): Promise<void> {
  const bytes = readFileSync(join(unpacked, photograph.path));
  if (createHash("sha256").update(bytes).digest("hex") !== photograph.sha256) {
    throw new Error(`${photograph.path} is not the file of data/photographs.tsv: take the version that stands there`);
  }
  const file = place(photograph);
  const image = sharp(bytes).rotate().flatten({ background: "white" }).toColourspace("srgb");
  const size = { width: LONGEST_SIDE, height: LONGEST_SIDE, fit: "inside", withoutEnlargement: true } as const;
  await image
    .resize({ ...size, kernel: "lanczos3" })
    .png()
    .toFile(`${file}.tmp`);
  renameSync(`${file}.tmp`, file);
}
