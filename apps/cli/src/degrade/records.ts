/**
 * What was done to every image: a JSON line each, written when the image stands on the disk. A run that was killed goes on after the images
 * that have a line, and any image can be made again from its own.
 */
import { appendFileSync, existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readText } from "../data/text.ts";
import { systemCode, UserError, WriteError } from "../errors.ts";
import { writeFileAtomic } from "../files.ts";
import type { Plan } from "./plan.ts";

/** An image that was made. */
export type ImageRecord = Plan & {
  /** What the photograph shows; null when nobody could say. */
  readonly title: string | null;
};

/** The records of a set that is being made. */
export class Records {
  readonly file: string;
  /** Images that are there and were planned otherwise: by another seed or other options. */
  readonly outdated: number;
  readonly #plans: readonly Plan[];
  readonly #made: Map<string, ImageRecord>;

  private constructor(file: string, plans: readonly Plan[], made: Map<string, ImageRecord>, outdated: number) {
    this.file = file;
    this.outdated = outdated;
    this.#plans = plans;
    this.#made = made;
  }

  /** Takes over what an earlier run has made as planned; everything else will be made anew. */
  static async open(file: string, plans: readonly Plan[]): Promise<Records> {
    const planned = new Map(plans.map((plan) => [plan.out, JSON.stringify(plan)]));
    const made = new Map<string, ImageRecord>();
    const outdated = new Set<string>();
    for (const record of existsSync(file) ? parseRecords(await readText(file, "records")) : []) {
      const { title: _, ...plan } = record;
      const there = [record.out, record.original ?? record.out].every((path) => existsSync(join(dirname(file), path)));
      if (!there || !planned.has(record.out)) continue;
      if (planned.get(record.out) === JSON.stringify(plan)) made.set(record.out, record);
      else outdated.add(record.out);
    }
    const records = new Records(file, plans, made, outdated.size);
    if (!existsSync(file)) refuseForeign(file, plans);
    // Whatever a killed run left of a last line goes; from now on the images are known for those of a set.
    await records.write();
    return records;
  }

  /** What has been made so far, in the order of the plans. */
  get made(): ImageRecord[] {
    return this.#plans.flatMap(({ out }) => this.#made.get(out) ?? []);
  }

  /** The record of a planned image, or undefined while it is not made. */
  get({ out }: Plan): ImageRecord | undefined {
    return this.#made.get(out);
  }

  /** Adds or replaces a record. @throws WriteError when the disk is full */
  add(record: ImageRecord): void {
    this.#made.set(record.out, record);
    try {
      appendFileSync(this.file, line(record));
    } catch (error) {
      if (systemCode(error) !== "ENOSPC") throw error;
      throw new WriteError(`write: no space left on the disk for ${this.file}: free some space and run again`);
    }
  }

  /** Writes the file anew, each image once and in the order of the plans. */
  async write(): Promise<void> {
    await writeFileAtomic(this.file, this.made.map(line).join(""));
  }
}

/** @throws UserError when files stand in the places of images, and no records tell that they are images of a set */
function refuseForeign(file: string, plans: readonly Plan[]): void {
  const places = plans.flatMap(({ out, original = out }) => [out, original]).map((path) => join(dirname(file), path));
  const foreign = places.find((path) => existsSync(path));
  if (foreign === undefined) return;
  throw new UserError(
    `degrade: ${foreign} exists, and no ${basename(file)} says that an earlier run made it: choose another --out, or remove it`,
  );
}

/** Reads records to make their images again. @throws UserError when there are none */
export async function readRecords(file: string): Promise<ImageRecord[]> {
  const records = parseRecords(await readText(file, "records"));
  if (records.length === 0) throw new UserError(`records: ${file} holds no records: give a degraded.jsonl`);
  return records;
}

/** A record as its line. */
function line(record: ImageRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/** The lines that are whole. */
function parseRecords(text: string): ImageRecord[] {
  return text.split("\n").flatMap((one): ImageRecord[] => {
    try {
      const value: unknown = JSON.parse(one);
      return isRecord(value) ? [value] : [];
    } catch {
      return [];
    }
  });
}

function isRecord(value: unknown): value is ImageRecord {
  return typeof value === "object" && value !== null && "out" in value && "in" in value && "draw" in value;
}
