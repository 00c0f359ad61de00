/**
 * What a command tells the process that launched it (bin/deplsr.js), which stays free to answer Ctrl-C while this one computes: what to remove
 * when it has to end this one, and whether to wait instead, because a training saves first.
 */

/** A message to the launcher. */
export type LauncherMessage =
  /** A temporary file or folder is there from now on. */
  | { readonly temporary: string }
  /** It is there no more. */
  | { readonly settled: string }
  /** Whether this process ends by itself after a signal. */
  | { readonly saves: boolean };

/** The name under which the launcher tells its process's id, so that no other parent gets messages that it does not know. */
const LAUNCHER = "DEPLSR_LAUNCHER";

/** Tells the launcher, where there is one. */
export function tellLauncher(message: LauncherMessage): void {
  if (process.env[LAUNCHER] !== String(process.ppid) || !process.connected) return;
  // A launcher that is gone needs to know nothing.
  process.send?.(message, undefined, {}, () => {});
}
