/** Photos that outlive a reload, in IndexedDB: those dropped before the page is isolated, and those shared with it by other apps. */

const DATABASE = "deplsr-kept";
const STORE = "photos";

/** A photo that is kept. */
export interface Kept {
  readonly file: File;
  /** Whether it waits to be worked on; false: somebody has ended that. */
  readonly wanted: boolean;
}

/** Keeps photos for the page that comes after this one. Rejects where the browser keeps nothing. */
export async function keep(photos: readonly Kept[]): Promise<void> {
  await transact("readwrite", (store) => {
    for (const { file, wanted } of photos) store.add({ file, name: file.name, wanted });
  });
}

/** The photos that were kept, which are forgotten with that. */
export async function takeUp(): Promise<readonly Kept[]> {
  const rows = await transact("readwrite", (store) => {
    // A page of an earlier version has not said whether they are wanted.
    const all: IDBRequest<{ file: Blob; name: string; wanted?: boolean }[]> = store.getAll();
    store.clear();
    return all;
  });
  return (rows?.result ?? []).map(({ file, name, wanted = true }) => ({
    file: new File([file], name, { type: file.type }),
    wanted,
  }));
}

async function transact<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => T): Promise<T> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { autoIncrement: true });
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  try {
    const transaction = database.transaction(STORE, mode);
    const result = work(transaction.objectStore(STORE));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
    return result;
  } finally {
    database.close();
  }
}
