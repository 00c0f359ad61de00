/** From the flags of the trainings to changes of their configurations. */
import { type Kind, keyOf, SRCLIP_FLAGS } from "../commands/srclip-flags.ts";
import type { TrainFlags } from "../commands/train-flags.ts";
import { debugSettings } from "../config/debug.ts";
import { fromForceYml, fromSet, parseValue, type Setting, setting } from "../config/set.ts";

/** What the flags of both trainings change in a configuration. @throws UsageError when one has another form */
export function settingsOf({ debug, set, force_yml }: TrainFlags): Setting[] {
  return [...fromForceYml(force_yml), ...fromSet(set), ...(debug ? debugSettings : [])];
}

/** The same with the flags of SRCLIP's training. @throws UsageError when a value is none */
export function srclipSettingsOf(flags: TrainFlags): Setting[] {
  const given: Readonly<Record<string, unknown>> = { ...flags };
  const own = Object.entries(SRCLIP_FLAGS).flatMap(([name, [kind]]) => {
    const words = given[name];
    if (words === undefined) return [];
    const change = setting([keyOf(name)], valueOf(name, kind, words));
    // The one takes the place of the other.
    return name === "epochs" ? [change, setting(["steps"], undefined)] : [change];
  });
  return [...own, ...settingsOf(flags)];
}

/** Flags that have no effect, in the form of a configuration, for `unusedKeys`. */
export function unusedFlags({ launcher }: TrainFlags): Readonly<Record<string, unknown>> {
  return { launcher };
}

function valueOf(name: string, kind: Kind, words: unknown): unknown {
  if (kind === "switch") return words;
  if (kind === "list") return [words].flat().map((word) => parseValue(`--${name}`, String(word)));
  if (kind === "value") return parseValue(`--${name}`, String(words));
  return words === "" ? null : words;
}
