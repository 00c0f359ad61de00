/** Files that are dropped on the page or pasted into it. */

/** What is done with them. */
export interface Intake {
  take(files: readonly File[]): void;
  /** Told whether files are held over the page. */
  over(over: boolean): void;
}

/** Listens on the whole page. Returns what ends it. */
export function listenForFiles({ take, over }: Intake): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const withFiles = ({ dataTransfer }: DragEvent): boolean => dataTransfer?.types.includes("Files") ?? false;
  // Without it the browser shows a dropped photo in place of the page.
  addEventListener(
    "dragover",
    (event) => {
      if (!withFiles(event)) return;
      event.preventDefault();
      over(true);
    },
    { signal },
  );
  addEventListener("dragleave", (event) => event.relatedTarget === null && over(false), { signal });
  addEventListener(
    "drop",
    (event) => {
      if (!withFiles(event)) return;
      event.preventDefault();
      over(false);
      take([...(event.dataTransfer?.files ?? [])]);
    },
    { signal },
  );
  addEventListener(
    "paste",
    (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length === 0) return;
      event.preventDefault();
      take(files);
    },
    { signal },
  );
  return () => stop.abort();
}
