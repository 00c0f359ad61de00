/** From what a page shows to a file. */

/** What an element enlarges: a picture of the page, its address, or a file. */
export type Source = HTMLImageElement | HTMLCanvasElement | Blob | string | URL;

/** A picture as a file. @throws Error with one line for people */
export async function fileOf(source: Source): Promise<File> {
  if (source instanceof Blob)
    return source instanceof File ? source : new File([source], "photo", { type: source.type });
  if (source instanceof HTMLCanvasElement)
    return new File([await canvasBlob(source)], "canvas.png", { type: "image/png" });
  const address = new URL(
    source instanceof HTMLImageElement ? source.currentSrc || source.src : source,
    document.baseURI,
  );
  const answer = await fetch(address).catch(() => {
    throw new Error(`${address.href} cannot be read: its server must allow it (CORS)`);
  });
  if (!answer.ok) throw new Error(`${address.href} is not there (${answer.status})`);
  const blob = await answer.blob();
  return new File([blob], nameOf(address), { type: blob.type });
}

function canvasBlob(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    const tainted = new Error("the canvas cannot be read: it shows a picture of another origin");
    try {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the canvas is empty"))));
    } catch {
      reject(tainted);
    }
  });
}

function nameOf({ protocol, pathname }: URL): string {
  if (protocol !== "http:" && protocol !== "https:") return "photo";
  return decodeURIComponent(pathname.split("/").at(-1)!) || "photo";
}
