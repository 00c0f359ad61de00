/** Looking into the schemas of configurations: which keys may stand where. */
import { z } from "zod";

/** A group of keys. */
export type Group = Readonly<Record<string, unknown>>;

export function isGroup(value: unknown): value is Group {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * What a schema is inside its wrappers (optional, default ...), one per alternative. Of alternatives that a key tells apart (`type`), only
 * the one that `value` has chosen counts, where it has.
 */
export function unwrapped(schema: unknown, value: unknown): unknown[] {
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const key: string = schema.def.discriminator;
    const chosen = schema.options.filter(
      (option) =>
        option instanceof z.ZodObject && isGroup(value) && z.safeParse(option.shape[key]!, value[key]).success,
    );
    return (chosen.length > 0 ? chosen : schema.options).flatMap((option) => unwrapped(option, value));
  }
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => unwrapped(option, value));
  if (schema instanceof z.ZodPipe) {
    return unwrapped(schema.out instanceof z.ZodTransform ? schema.in : schema.out, value);
  }
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return unwrapped(schema.unwrap(), value);
  }
  return [schema];
}

/** The schemas of a key of a group, with their wrappers. */
export function fieldSchemas(schema: unknown, group: unknown, key: PropertyKey): unknown[] {
  return unwrapped(schema, group).flatMap((found) => {
    if (found instanceof z.ZodObject) return found.shape[String(key)] ?? found.def.catchall ?? [];
    if (found instanceof z.ZodRecord) return found.valueType;
    return found instanceof z.ZodArray ? found.element : [];
  });
}

/** The schemas at a path of a value, without their wrappers. */
export function schemasAt(schema: unknown, path: readonly PropertyKey[], value: unknown): unknown[] {
  const [head, ...rest] = path;
  if (head === undefined) return unwrapped(schema, value);
  const inner = isGroup(value) || Array.isArray(value) ? (value as Record<PropertyKey, unknown>)[head] : undefined;
  return fieldSchemas(schema, value, head).flatMap((field) => schemasAt(field, rest, inner));
}

/** The keys that a group at a path may have, without those that may only be nothing. */
export function keysAt(schema: unknown, path: readonly PropertyKey[], value: unknown): string[] {
  const found = schemasAt(schema, path, value).flatMap((one) => {
    if (!(one instanceof z.ZodObject)) return [];
    const fields = Object.entries(one.shape);
    return fields.filter(([, field]) => !unwrapped(field, null).every(isNothing)).map(([key]) => key);
  });
  return [...new Set(found)];
}

function isNothing(schema: unknown): boolean {
  return schema instanceof z.ZodUndefined;
}

/**
 * A value without the keys that are `~` where that means nothing else than leaving them out, as it does for Python's None. Not so
 * for true and false, of which None is false.
 */
export function withoutNothing(value: unknown, schema: unknown): unknown {
  if (!isGroup(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => {
      const fields = fieldSchemas(schema, value, key);
      if (inner === null && fields.length > 0 && fields.every(meansLeftOut)) return [];
      return [[key, fields.reduce<unknown>((current, field) => withoutNothing(current, field), inner)]];
    }),
  );
}

function meansLeftOut(field: unknown): boolean {
  if (!(field instanceof z.ZodType)) return false;
  const truth = unwrapped(field, null).some((inner) => inner instanceof z.ZodBoolean);
  return !truth && !field.safeParse(null).success && field.safeParse(undefined).success;
}
