import { fileURLToPath } from "node:url";

/** The path of a file of the reference's numbers. */
export function golden(name: string): string {
  return fileURLToPath(new URL(`../../../../shared/golden/${name}`, import.meta.url));
}
