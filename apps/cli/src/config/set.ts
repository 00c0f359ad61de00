/** Changing single values of a configuration from the command line: `--set train.optim_g.lr=1e-4`, `--force_yml train:optim_g:lr=1e-4`. */
import { parse, type ScalarTag } from "yaml";
import { oneLine, UsageError } from "../errors.ts";
import { isGroup } from "./schema.ts";

/** A change of a configuration that the schema has yet to judge. */
export type Setting = (config: unknown) => unknown;

/** A parsed configuration after some changes, in their order. */
export function withSettings(config: unknown, settings: readonly Setting[]): unknown {
  return settings.reduce((current, setting) => setting(current), config);
}

/** Gives a key, `["train", "total_iter"]`, a value; missing groups are made. */
export function setting(path: readonly string[], value: unknown): Setting {
  return (config) => replaced(config, path, value);
}

/** The changes of `--set`: `key.key=value` each, the value in YAML. @throws UsageError when one has another form */
export function fromSet(settings: readonly string[]): Setting[] {
  return settings.map((text) => {
    const [key, value] = parseSetting("set", text, "train.total_iter=100");
    return setting(key.split("."), value);
  });
}

/** The changes of BasicSR's `--force_yml`: `key:key=value` each. @throws UsageError when one has another form */
export function fromForceYml(settings: readonly string[]): Setting[] {
  return settings.map((text) => {
    const [key, value] = parseSetting("force_yml", text, "train:total_iter=100");
    const none = typeof value === "string" && value.toLowerCase() === "none";
    return setting(
      key.split(":").map((part) => part.trim()),
      none ? null : value,
    );
  });
}

/** `!!float 5` stands for 5 as well: the library takes the tag only on numbers with a point or an exponent. */
export const INTEGER_FLOAT: ScalarTag = {
  tag: "tag:yaml.org,2002:float",
  test: /^[-+]?\d+$/,
  resolve: (text) => Number(text),
  default: false,
};

/**
 * A setting of the command line as key and value, which is YAML.
 *
 * @param flag the flag's name and `example` a setting, for messages
 * @throws UsageError when it has another form
 */
export function parseSetting(flag: string, text: string, example: string): [key: string, value: unknown] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new UsageError(`--${flag} ${text}: write key=value, for instance --${flag} ${example}`);
  return [text.slice(0, equals), parseValue(`--${flag} ${text}`, text.slice(equals + 1))];
}

/** A value of the command line, which is YAML. @param what it is, for the message @throws UsageError when it is none */
export function parseValue(what: string, text: string): unknown {
  try {
    return parse(text, { customTags: (tags) => [...tags, INTEGER_FLOAT] });
  } catch (error) {
    throw new UsageError(`${what}: the value is not YAML: ${oneLine(error)}`);
  }
}

function replaced(target: unknown, [head, ...rest]: readonly string[], value: unknown): unknown {
  if (head === undefined) return value;
  const group = isGroup(target) ? target : {};
  return { ...group, [head]: replaced(group[head], rest, value) };
}
