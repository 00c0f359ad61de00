/** Photographs to try things on. */
import deer from "@deplsr/models/photographs/deer.jpg?url";
import temple from "@deplsr/models/photographs/temple.jpg?url";
import waterfall from "@deplsr/models/photographs/waterfall.jpg?url";

/** A photograph to try. */
export interface Sample {
  readonly name: string;
  readonly title: string;
  readonly url: string;
}

/** Two that no model has learned from, and one that is beautiful. */
export const SAMPLES: readonly Sample[] = [
  { name: "deer.jpg", title: "A young deer in a forest", url: deer },
  { name: "waterfall.jpg", title: "A waterfall between red cliffs", url: waterfall },
  { name: "temple.jpg", title: "A golden temple at a pond", url: temple },
];

/** A sample's file. */
export async function fetchSample({ name, url }: Sample): Promise<File> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${name} is not there (${answer.status})`);
  return new File([await answer.blob()], name, { type: "image/jpeg" });
}
