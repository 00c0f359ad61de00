/** Bytes in files of the origin's private file system, which nobody sees. */

/** Where bytes lie. */
export interface Bytes {
  read(at: number, into: Uint8Array): void;
  write(at: number, from: Uint8Array): void;
  close(): Promise<void>;
}

const FOLDER = "deplsr-results";

/** What workers have of a file, and the types of pages do not know. */
interface SyncAccessHandle {
  read(into: Uint8Array, options: { readonly at: number }): number;
  write(from: Uint8Array, options: { readonly at: number }): number;
  truncate(bytes: number): void;
  close(): void;
}

/** A file of its own; null where the browser has none, as in some private windows. @throws Error with one line where the disk is full */
export async function onDisk(length: number): Promise<Bytes | null> {
  let folder: FileSystemDirectoryHandle;
  let file: SyncAccessHandle;
  const name = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
  try {
    folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
    const handle = await folder.getFileHandle(name, { create: true });
    file = await (
      handle as unknown as { createSyncAccessHandle(): Promise<SyncAccessHandle> }
    ).createSyncAccessHandle();
  } catch {
    return null;
  }
  const remove = async (): Promise<void> => {
    file.close();
    await folder.removeEntry(name).catch(() => undefined);
  };
  try {
    file.truncate(length);
  } catch {
    await remove();
    throw full(length);
  }
  return {
    read(at, into) {
      if (file.read(into, { at }) < into.length) throw new Error("internal: a result was read behind its end");
    },
    write(at, from) {
      let written = 0;
      try {
        written = file.write(from, { at });
      } catch {
        // As if nothing had been.
      }
      if (written < from.length) throw full(length);
    },
    close: remove,
  };
}

function full(bytes: number): Error {
  return new Error(
    `there is no room for ${Math.ceil(bytes / 1e6)} MB on the disk: free some, or choose a smaller scale`,
  );
}

/** Removes what pages that were closed in the middle of their work have left behind; what another page has open stays. */
export async function removeLeftovers(): Promise<void> {
  try {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER);
    const names = (folder as unknown as { keys(): AsyncIterable<string> }).keys();
    for await (const name of names) await folder.removeEntry(name).catch(() => undefined);
  } catch {
    // There is none.
  }
}
