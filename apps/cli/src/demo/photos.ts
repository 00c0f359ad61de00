/** The demo's photographs: those of `@deplsr/models`, in colour, with captions. */
import { fileURLToPath } from "node:url";
import { PHOTOGRAPHS } from "@deplsr/models";

/** A photograph of the demo. */
export interface DemoPhoto {
  readonly name: string;
  readonly path: string;
  readonly title: string;
  /** Kept out of both trainings, to be asked about afterwards. */
  readonly heldOut: boolean;
}

/** Finds the photographs. The held-out ones no model of that package has seen either. */
export function demoPhotos(): DemoPhoto[] {
  return PHOTOGRAPHS.map(({ name, title, file, heldOut }) => ({ name, path: fileURLToPath(file), title, heldOut }));
}
