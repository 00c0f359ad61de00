/** `npm run bench:page`: the page in headless Chromium, see benchmarks/README.md. Exit 0 done, 1 failed, 2 wrong usage. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import sharp from "sharp";
import { oneLine } from "../../apps/cli/src/errors.ts";
import { openBrowser } from "../../apps/web/test/harness.ts";
import { type Site, serveSite } from "../../apps/web/test/site.ts";
import { installPeers } from "./install.ts";
import { describeMachine } from "./machine.ts";
import { browserName, build } from "./page/browser.ts";
import {
  buildContest,
  type Contestant,
  contestFiles,
  cutPhotos,
  enlargeByPeer,
  enlargeOnPage,
  ours,
  peerVersions,
} from "./page/compare.ts";
import { type MemoryCurve, memoryCurve } from "./page/memory.ts";
import { type PageOptions, type Part, parseOptions, UsageError, usage } from "./page/options.ts";
import type { OurResult } from "./page/our-page.ts";
import { compareTable, memoryTable, visitTable } from "./page/tables.ts";
import { visits } from "./page/visit.ts";
import { askForQuiet } from "./quiet.ts";

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const VISITS = 5;
/** Pixels of a side of what the GPU enlarges, and how often: once takes minutes on a software adapter. */
const [GPU_SIDE, GPU_TIMES] = [256, 1];

/** Everything that was found. */
interface Found {
  readonly machine: ReturnType<typeof describeMachine>;
  readonly browser: string;
  readonly command: string;
  visit?: Awaited<ReturnType<typeof visits>>;
  compare?: { readonly peers: string | null; readonly contestants: readonly Contestant[] };
  gpu?: Omit<OurResult, "file">;
  memory?: MemoryCurve;
}

async function main({ photo, parts, peers: asked }: PageOptions): Promise<void> {
  if (!existsSync(photo)) throw new UsageError(`${resolve(photo)} does not exist: name a photo`);
  askForQuiet();
  const peers = parts.includes("compare") ? peersFolder(asked) : null;
  const machine = describeMachine();
  const folder = await mkdtemp(join(tmpdir(), "deplsr-bench-page-"));
  const browser = await openBrowser();
  const sites: Site[] = [];
  try {
    const command = ["npm run bench:page", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(
      " ",
    );
    const found: Found = { machine, browser: browserName(browser), command };
    say("building the page");
    await build(join(folder, "page"));
    const page = await serveSite(join(folder, "page"));
    sites.push(page);
    const photos = await cutPhotos(photo);
    const contest = await contestSite(folder, parts, peers);
    if (contest) {
      sites.push(contest);
      contestFiles(contest, photos);
      const square = sharp(photos.megapixel).extract({ left: 64, top: 64, width: GPU_SIDE, height: GPU_SIDE });
      contest.changed.set("/gpu.png", await square.png().toBuffer());
    }
    for (const part of parts) {
      say(`measuring: ${part}`);
      try {
        await measure(part, found, { browser, page, contest, photos, peers, photo });
      } catch (error) {
        say(`${part}: ${oneLine(error)}`);
        process.exitCode = 1;
      }
    }
    say(`written to ${save(found)}`);
  } finally {
    await browser.close();
    for (const site of sites) await site.close();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Places {
  readonly browser: Browser;
  readonly page: Site;
  readonly contest: Site | null;
  readonly photos: Awaited<ReturnType<typeof cutPhotos>>;
  readonly peers: string | null;
  readonly photo: string;
}

async function measure(
  part: Part,
  found: Found,
  { browser, page, contest, photos, peers, photo }: Places,
): Promise<void> {
  switch (part) {
    case "visit": {
      const deer = new URL("../../packages/models/photographs/deer.jpg", import.meta.url);
      const chosen = { name: "deer.jpg", mimeType: "image/jpeg", buffer: readFileSync(deer) };
      found.visit = await visits(browser, page, chosen, VISITS);
      print(visitTable({ "first visit": found.visit.first, "second visit": found.visit.second }));
      return;
    }
    case "compare": {
      const contestants = [await enlargeOnPage(browser, page, photos, contest!)];
      print(compareTable(contestants));
      for (const patched of peers === null ? [] : [true, false]) {
        // One that takes its browser down is the last in that alone.
        const own = await openBrowser();
        try {
          contestants.push(await enlargeByPeer(own, contest!, patched));
        } finally {
          await own.close();
        }
        print(compareTable(contestants.slice(-1)));
      }
      found.compare = { peers: peers && peerVersions(peers), contestants };
      print(compareTable(contestants));
      return;
    }
    case "gpu": {
      const task = { url: "/gpu.png", backend: "webgpu", tile: "auto", times: GPU_TIMES } as const;
      const { file: _, ...result } = await ours(browser, contest!, task);
      found.gpu = result;
      const { device, opened, diagnosed, seconds } = result;
      print(
        `${GPU_SIDE} x ${GPU_SIDE} on ${device}: opened in ${opened.toFixed(1)} s, five bars after ${diagnosed.toFixed(1)} s, enlarged in ${seconds.map((s) => s.toFixed(1)).join(", ")} s`,
      );
      return;
    }
    case "memory":
      found.memory = await memoryCurve(browser, photo);
      print(memoryTable(found.memory));
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n\n`);
}

async function contestSite(folder: string, parts: readonly Part[], peers: string | null): Promise<Site | null> {
  if (!parts.includes("compare") && !parts.includes("gpu")) return null;
  await buildContest(join(folder, "contest"), peers);
  return serveSite(join(folder, "contest"));
}

/** Where the peers are, installed if need be; null for none. */
function peersFolder(asked: string | null | undefined): string | null {
  if (asked === null) return null;
  if (asked !== undefined) {
    const manifest = join(asked, "package.json");
    if (!existsSync(manifest))
      throw new UsageError(`--peers-folder: ${manifest} does not exist: take benchmarks/peers`);
    return resolve(asked);
  }
  installPeers(say);
  return fileURLToPath(new URL("../peers", import.meta.url));
}

/** @returns where it is */
function save(found: Found): string {
  const { date, commit } = found.machine;
  const name = `${date.slice(0, 19).replaceAll(":", "-")}-page-${commit.replace("+", "-changed")}.json`;
  writeFileSync(new URL(`../results/${name}`, import.meta.url), `${JSON.stringify(found, null, 2)}\n`);
  return `benchmarks/results/${name}`;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(`${usage}\n`);
  else await main(options);
} catch (error) {
  process.stderr.write(`bench:page: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
