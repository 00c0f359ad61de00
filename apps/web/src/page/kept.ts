/** Photos that outlive a reload, in IndexedDB: those dropped before the page is isolated, and those shared with it by other apps. */

const DATABASE = "deplsr-kept";
const STORE = "photos";

/** Keeps files for the page that comes after this one. Rejects where the browser keeps nothing. */
export async function keep(files: readonly File[]): Promise<void> {
  await transact("readwrite", (store) => {
    for (const file of files) store.add({ file, name: file.name });
  });
}

/** The files that were kept, which are forgotten with that. */
export async function takeUp(): Promise<readonly File[]> {
  const rows = await transact("readwrite", (store) => {
    const all: IDBRequest<{ file: Blob; name: string }[]> = store.getAll();
    store.clear();
    return all;
  });
  return (rows?.result ?? []).map(({ file, name }) => new File([file], name, { type: file.type }));
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
