/** What the page calls things. */
import type { SeenDegradation } from "../client/api.ts";

const KINDS: Readonly<Record<string, { readonly name: string; readonly about: string }>> = {
  blur: { name: "Blur", about: "blur" },
  gaussian: { name: "Noise", about: "noise" },
  poisson: { name: "Shot noise", about: "shot noise" },
  jpeg: { name: "JPEG", about: "JPEG compression" },
  ringing: { name: "Ringing", about: "ringing" },
};

/** The name of a kind of degradation. */
export function kindName(kind: string): string {
  return KINDS[kind]?.name ?? kind;
}

/** How bad something is, in a word. */
export function severityWord(severity: number): string {
  if (severity < 0.1) return "none";
  if (severity < 0.4) return "slight";
  return severity < 0.7 ? "clear" : "strong";
}

/** What is seen, in a sentence. */
export function seenSentence(seen: readonly SeenDegradation[]): string {
  const bad = seen.filter(({ severity }) => severity >= 0.4).sort((a, b) => b.severity - a.severity);
  if (bad.length === 0) return "Nothing much is wrong with it.";
  const words = bad.map(({ kind, severity }) => `${severityWord(severity)} ${KINDS[kind]?.about ?? kind}`);
  const last = words.pop()!;
  const list = words.length === 0 ? last : `${words.join(", ")} and ${last}`;
  return `${list[0]!.toUpperCase()}${list.slice(1)}.`;
}

/** A time that is left or was taken: "8 s", "2 min 5 s". */
export function duration(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  return whole < 90 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** An error as one line. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0]!.trim() || "it failed, and nobody said why";
}
