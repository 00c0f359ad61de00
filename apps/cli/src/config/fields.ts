/** Kinds of values that several configurations share. */
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";

/** A whole number above 0. */
export const count = z.number().int().positive();
/** A whole number from 0 on. */
export const countOrZero = z.number().int().nonnegative();
/** Two numbers: lower and upper end. */
export const range = z.tuple([z.number(), z.number()]);
/** A path; `~/` at its start stands for the home directory. */
export const path = z.string().min(1).overwrite(fromHome);
/** A path, or `~` for none. */
export const optionalPath = path.nullable().default(null);
/** A chance in [0, 1]. */
export const probability = z.number().min(0).max(1);
/** What random numbers follow from; `~` draws one from the clock. */
export const seed = countOrZero
  .nullable()
  .default(0)
  .transform((given) => given ?? Date.now() % 2 ** 31);

const LMDB =
  "folders of images: unpack an lmdb by python -c \"import lmdb; [open(k.decode() + '.png', 'wb').write(v) for k, v in lmdb.open('X.lmdb').begin().cursor()]\"";

/** Where a data set's files are: `disk`. What else stands here concerns the original's readers. */
export const ioBackend = z
  .looseObject({ type: z.string().default("disk") })
  .refine(({ type }) => type !== "lmdb", { message: `type disk and ${LMDB}` })
  .refine(({ type }) => type === "disk" || type === "lmdb", { message: "type disk" })
  .default({ type: "disk" });

const folder = path.refine((text) => !/\.lmdb\/*$/.test(text), { message: LMDB });
/** A folder, or several, one after the other; `~` for none. */
export const folders = z
  .union([folder, z.array(folder).min(1)])
  .nullable()
  .default(null);

/** A path with `~` or `~/` at its start replaced by the home directory. */
export function fromHome(text: string): string {
  return text === "~" || /^~[\\/]/.test(text) ? join(homedir(), text.slice(1)) : text;
}
