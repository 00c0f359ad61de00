/** The comparison in a page of headless Chromium: the same code, the fixtures by HTTP. */
import { fileURLToPath } from "node:url";
import { ISOLATED, withPage } from "../../scripts/chromium.ts";
import { oneLine, UserError } from "./errors.ts";
import type { Folder } from "./folder.ts";
import type { PageAnswer, PageTask } from "./page.ts";
import type { Selection } from "./session.ts";

/** Where the page finds the folder's files. */
const FILES = "/files/";

/** `compareFolder` in a page. Throws a `UserError` as well when the page or Chromium fails. */
export async function compareInBrowser(
  folder: Folder,
  selection: Selection,
  print: (line: string) => void,
): Promise<number> {
  const { name, files } = folder;
  const known = new Set(files.map((path) => FILES + path));
  const file = async (path: string): Promise<Uint8Array | undefined> =>
    known.has(path) ? await folder.read(path.slice(FILES.length)) : undefined;
  const task: PageTask = { name, files, base: FILES, selection };
  let answer: PageAnswer;
  try {
    const entry = fileURLToPath(new URL("page.ts", import.meta.url));
    answer = await withPage({ entry, headers: ISOLATED, file }, async (page) => {
      page.on("console", (message) => console.error(message.text()));
      await page.exposeFunction("printLine", print);
      return await page.evaluate(`compare(${JSON.stringify(task)})`);
    });
  } catch (error) {
    throw new UserError(oneLine(error));
  }
  if ("problem" in answer) throw new UserError(answer.problem);
  return answer.code;
}
