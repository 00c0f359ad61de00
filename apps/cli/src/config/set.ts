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
    const equals = setting.indexOf("=");
    if (equals < 1) throw new UsageError(`--set ${setting}: write key=value, for instance --set train.total_iter=100`);
    let value: unknown;
    try {
      value = parse(setting.slice(equals + 1));
    } catch (error) {
      throw new UsageError(`--set ${setting}: the value is not YAML: ${oneLine(error)}`);
    }
    return replaced(current, setting.slice(0, equals).split("."), value);
  }, config);
}

function replaced(target: unknown, [head, ...rest]: readonly string[], value: unknown): unknown {
  if (head === undefined) return value;
  const group = typeof target === "object" && target !== null && !Array.isArray(target) ? target : {};
  return { ...group, [head]: replaced((group as Record<string, unknown>)[head], rest, value) };
}
