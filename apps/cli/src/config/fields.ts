/** Kinds of values that several configurations share. */
import { z } from "zod";

/** A whole number above 0. */
export const count = z.number().int().positive();
/** A whole number from 0 on. */
export const countOrZero = z.number().int().nonnegative();
/** Two numbers: lower and upper end. */
export const range = z.tuple([z.number(), z.number()]);
/** A path, or `~` for none. */
export const optionalPath = z.string().min(1).nullable().default(null);
/** A chance in [0, 1]. */
export const probability = z.number().min(0).max(1);
