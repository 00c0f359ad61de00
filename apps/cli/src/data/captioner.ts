/** Who tells what a photograph shows. */
import { extname, resolve } from "node:path";
import { oneLine, UsageError, UserError } from "../errors.ts";
import { exists } from "../files.ts";
import { checkWhole } from "../flags.ts";
import { counted, type Output } from "../output.ts";
import { captionCommand } from "./caption-command.ts";
import { readCaptions } from "./image-list.ts";
import type { SourceList } from "./sources.ts";
import { readText } from "./text.ts";

/** Where captions come from besides the lists of photographs. */
export interface CaptionOptions {
  /** A TSV or JSON file, `sidecar` for a text file beside each photograph, `none`; undefined for what the lists say. */
  readonly captions: string | undefined;
  /** A program that prints the caption of `{image}`, for photographs that have none yet. */
  readonly "caption-command": string | undefined;
  /** Seconds that it may take, at most 2^31 ms. */
  readonly "caption-timeout": number;
  /** The caption of photographs without one; null leaves them without. */
  readonly fallback: string | null;
}

/** Node's timers count milliseconds up to 2^31 - 1; longer ones end at once. */
const MOST_SECONDS = Math.floor((2 ** 31 - 1) / 1000);

/** Checks the flags that say where captions come from. @throws UsageError naming the one that is wrong */
export function checkCaptionFlags(flags: Omit<CaptionOptions, "fallback">): void {
  checkWhole("caption-timeout", flags["caption-timeout"], 1, MOST_SECONDS);
  if (flags.captions === "none" && flags["caption-command"] !== undefined) {
    throw new UsageError("--captions none and --caption-command say two things: leave one out");
  }
}

/** Tells what photographs show. */
export interface Captioner {
  /** What is known without asking a program; undefined where one has to be asked. */
  readonly known: (path: string) => string | undefined;
  /** Asks it; null where there is none. @throws UserError when it does not know */
  readonly ask: ((path: string) => Promise<string>) | null;
}

/** Collects the captions. @throws UserError for a file of captions that cannot be read, UsageError for a wrong command */
export async function readCaptioner(
  { sources, titles }: SourceList,
  { captions, "caption-command": command, "caption-timeout": seconds, fallback }: CaptionOptions,
  output: Output,
): Promise<Captioner> {
  const found = new Map(captions === "none" ? [] : titles);
  if (captions !== undefined && captions !== "none") {
    const captionOf = captions === "sidecar" ? (path: string) => sidecar(path, output) : await fileOf(captions, output);
    for (const { path } of sources) {
      const caption = await captionOf(path);
      if (caption) found.set(resolve(path), caption);
    }
    if (captions !== "sidecar" && found.size === 0) {
      throw new UserError(
        `captions: ${captions} says nothing of ${counted(sources.length, "photograph")}: a TSV needs the columns filepath and title`,
      );
    }
  }
  if (command !== undefined)
    return { known: (path) => found.get(resolve(path)), ask: captionCommand(command, seconds) };
  if (fallback === null) return { known: (path) => found.get(resolve(path)), ask: null };
  const missing = sources.filter(({ path }) => !found.has(resolve(path))).length;
  if (missing > 0 && found.size > 0) {
    output.warn(`no caption for ${missing} of ${counted(sources.length, "photograph")}: "${fallback}" stands for it`);
  }
  return { known: (path) => found.get(resolve(path)) ?? fallback, ask: null };
}

async function fileOf(file: string, output: Output): Promise<(path: string) => string | undefined> {
  const { captionOf, bad } = await readCaptions(file);
  for (const { name, reason } of bad) output.warn(`captions: ${name} is left out: ${reason}`);
  return captionOf;
}

/** The text file beside a photograph: `a.txt` for `a.jpg`. */
async function sidecar(path: string, output: Output): Promise<string | undefined> {
  const file = `${path.slice(0, path.length - extname(path).length)}.txt`;
  if (!(await exists(file))) return undefined;
  try {
    return (await readText(file, "caption")).replace(/\s+/g, " ").trim();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    output.warn(`${oneLine(error)}; ${path} is without a caption`);
    return undefined;
  }
}
