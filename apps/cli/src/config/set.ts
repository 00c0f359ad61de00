/** Changing single values of a configuration from the command line: `--set train.optim_g.lr=1e-4`. */
import { parse } from "yaml";
import { oneLine, UsageError } from "../errors.ts";

/**
 * A copy of a parsed configuration with some values replaced. Values are YAML; missing groups are made, so that the schema judges them.
 *
 * @param settings `key.key=value` each
 * @throws UsageError when one has another form
 */
export function withSettings(config: unknown, settings: readonly string[]): unknown {
  return settings.reduce((current, setting) => {
    const [key, value] = parseSetting("set", setting, "train.total_iter=100");
    return replaced(current, key.split("."), value);
  }, config);
}

/**
 * A setting of the command line as key and value, which is YAML.
 *
 * @param flag the flag's name and `example` a setting, for messages
 * @throws UsageError when it has another form
 */
export function parseSetting(flag: string, setting: string, example: string): [key: string, value: unknown] {
  const equals = setting.indexOf("=");
  if (equals < 1) throw new UsageError(`--${flag} ${setting}: write key=value, for instance --${flag} ${example}`);
  try {
    return [setting.slice(0, equals), parse(setting.slice(equals + 1))];
  } catch (error) {
    throw new UsageError(`--${flag} ${setting}: the value is not YAML: ${oneLine(error)}`);
  }
}

function replaced(target: unknown, [head, ...rest]: readonly string[], value: unknown): unknown {
  if (head === undefined) return value;
  const group = typeof target === "object" && target !== null && !Array.isArray(target) ? target : {};
  return { ...group, [head]: replaced((group as Record<string, unknown>)[head], rest, value) };
}
