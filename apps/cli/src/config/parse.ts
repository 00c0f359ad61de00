/** From a YAML file to a checked configuration, or one line that names the file, the key and what was expected. */
import { parseDocument, type Tags } from "yaml";
import { z } from "zod";
import { readText } from "../data/text.ts";
import { nearest, oneLine, UsageError, UserError } from "../errors.ts";
import { counted } from "../output.ts";
import { isGroup, keysAt, schemasAt, withoutNothing } from "./schema.ts";
import { INTEGER_FLOAT, type Setting, withSettings } from "./set.ts";

/** A configuration with its defaults filled in, and what deserves a warning. */
export interface Parsed<T> {
  readonly config: T;
  readonly warnings: readonly string[];
}

/** Reads and checks a configuration file. @param settings see `withSettings` @throws UserError as `parseConfig`, and when the file cannot be read; UsageError when none is given */
export async function readConfig<S extends z.ZodType>(
  file: string | undefined,
  schema: S,
  settings: readonly Setting[] = [],
): Promise<Parsed<z.output<S>>> {
  if (file === undefined) throw new UsageError("--config is missing: the YAML file of the run, see options/train");
  return parseConfig(await readText(file, "config"), file, schema, settings);
}

const YAML = { customTags: (tags: Tags): Tags => [...tags, INTEGER_FLOAT], merge: true };

/**
 * Parses and checks a configuration.
 *
 * A key that stands twice counts with its last value, as in PyYAML (files of the original have such keys), and gives a warning.
 *
 * @param text YAML 1.2; `!!float 2e-4` and `~` are understood
 * @param file its name, for messages
 * @param schema what is expected, made of strict objects so that unknown keys are found
 * @param settings values that replace the file's, see `withSettings`
 * @throws UserError naming every wrong key at once, with what was expected and the nearest known key
 */
export function parseConfig<S extends z.ZodType>(
  text: string,
  file: string,
  schema: S,
  settings: readonly Setting[] = [],
): Parsed<z.output<S>> {
  const document = parseDocument(text, YAML);
  const duplicates = document.errors.filter((error) => error.code === "DUPLICATE_KEY");
  const broken = document.errors.find((error) => error.code !== "DUPLICATE_KEY") ?? document.warnings[0];
  if (broken !== undefined) {
    throw new UserError(`config: ${file} is not valid YAML: ${oneLine(broken).replace(/:? *\S* *\^+$/, "")}`);
  }
  const value: unknown = parseDocument(text, { ...YAML, uniqueKeys: false }).toJS() ?? {};
  return {
    config: checkConfig(withSettings(value, settings), file, schema),
    warnings: duplicates.map((error) => {
      const line = error.linePos?.[0].line;
      return `config: ${file} line ${line ?? "?"} repeats a key: its last value counts`;
    }),
  };
}

/** Checks a value that is already parsed. @throws UserError as `parseConfig` */
export function checkConfig<S extends z.ZodType>(value: unknown, file: string, schema: S): z.output<S> {
  const given = withoutNothing(value, schema);
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const reasons = result.error.issues.flatMap((issue) => explain(issue, schema, given));
  throw new UserError(`config: ${file}: ${reasons.join("; ")}`);
}

function explain(issue: z.core.$ZodIssue, schema: z.ZodType, value: unknown): string[] {
  const path = issue.path.length === 0 ? "the file" : `key "${pathText(issue.path)}"`;
  const found = valueAt(value, issue.path);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => unknownKey([...issue.path, key], schema, value));
  }
  if (issue.code === "invalid_key") return [unknownKey(issue.path, schema, value)];
  if (issue.code === "invalid_union" && typeof found === "object" && found !== null) {
    // The alternative that wants a group of keys is the one that is meant: its own complaints say more.
    const meant = issue.errors.find((errors) =>
      errors.every((inner) => inner.path.length > 0 || inner.code !== "invalid_type"),
    );
    if (meant !== undefined) {
      return meant.flatMap((inner) => explain({ ...inner, path: [...issue.path, ...inner.path] }, schema, value));
    }
  }
  const expected = expectation(issue, schema, value);
  return [
    found === undefined
      ? `${path} is missing: expected ${expected}`
      : `${path} is ${preview(found)}: expected ${expected}`,
  ];
}

function unknownKey(path: readonly PropertyKey[], schema: z.ZodType, value: unknown): string {
  const group = path.slice(0, -1);
  const there = valueAt(value, group);
  const known = keysAt(schema, group, value);
  // A key that stands there already is not what was meant.
  const free = known.filter((key) => !isGroup(there) || !(key in there));
  const similar = nearest(String(path.at(-1)), free);
  const hint = similar !== undefined ? `did you mean "${similar}"?` : `known keys here: ${known.join(", ")}`;
  return `unknown key "${pathText(path)}": ${hint}`;
}

function expectation(issue: z.core.$ZodIssue, schema: z.ZodType, value: unknown): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.expected === "undefined" ? issue.message : article(issue.expected);
    case "invalid_value":
      return oneOf(issue.values);
    case "too_small":
      return issue.origin === "array"
        ? `at least ${counted(Number(issue.minimum), "entry", "entries")}`
        : `${issue.inclusive ? "at least" : "more than"} ${issue.minimum}`;
    case "too_big":
      return issue.origin === "array"
        ? `at most ${counted(Number(issue.maximum), "entry", "entries")}`
        : `${issue.inclusive ? "at most" : "less than"} ${issue.maximum}`;
    case "invalid_union": {
      if (issue.errors.length === 0) return oneOf(discriminators(schema, issue.path, value));
      const direct = issue.errors.flatMap((errors) => errors.filter((inner) => inner.path.length === 0));
      return [...new Set(direct.map((inner) => expectation(inner, schema, value)))].join(" or ");
    }
    default:
      return issue.message;
  }
}

function oneOf(values: readonly unknown[]): string {
  const texts = values.map((value) => JSON.stringify(value));
  return texts.length === 1 ? texts[0]! : `one of ${texts.join(", ")}`;
}

function article(type: string): string {
  switch (type) {
    case "int":
      return "an integer";
    case "object":
    case "record":
      return "a group of keys";
    case "array":
      return "a list";
    case "null":
      return "~ (nothing)";
    case "string":
      return "text";
    case "boolean":
      return "true or false";
    default:
      return `a ${type}`;
  }
}

function preview(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, i) => (typeof part === "number" ? `[${part}]` : `${i > 0 ? "." : ""}${String(part)}`))
    .join("");
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<PropertyKey, unknown>)[part];
  }
  return current;
}

/** The values of the key that tells alternatives apart, where `path` ends with that key. */
function discriminators(schema: unknown, path: readonly PropertyKey[], value: unknown): unknown[] {
  return schemasAt(schema, path, value).flatMap((found) => {
    if (found instanceof z.ZodLiteral) return [...found.values];
    return found instanceof z.ZodEnum ? found.options : [];
  });
}
