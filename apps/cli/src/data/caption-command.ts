/** Captions from a program of the user's, without a shell between. */
import { execFile } from "node:child_process";
import { oneLine, systemCode, UsageError, UserError } from "../errors.ts";

/** What stands for the image's path in the command. */
const PLACE = "{image}";
/** More text than any caption has. */
const MOST_BYTES = 2 ** 20;

/**
 * Makes a captioner of a command.
 *
 * @param command program and arguments, `blip --beams 3 {image}`; quotes and backslashes as in a shell, but nothing else of one
 * @param seconds after which the program is ended
 * @returns tells what an image shows: all that the program prints, as one line. Throws a UserError when it fails, prints nothing or takes too long
 * @throws UsageError when the command is not complete
 */
export function captionCommand(command: string, seconds: number): (image: string) => Promise<string> {
  const [program, ...args] = splitCommand(command);
  if (program === undefined || ![program, ...args].some((arg) => arg.includes(PLACE))) {
    throw new UsageError(`--caption-command ${JSON.stringify(command)}: write a program and ${PLACE} for the image`);
  }
  return async (image) => {
    const inserted = args.map((arg) => arg.replaceAll(PLACE, () => image));
    const caption = await output(
      program.replaceAll(PLACE, () => image),
      inserted,
      seconds,
      image,
    );
    if (caption === "") throw new UserError(`caption: ${program} printed nothing for ${image}`);
    return caption;
  };
}

/**
 * The words of a command. Blanks part words except within quotes; a backslash takes the meaning from a quote, a blank or a backslash behind it,
 * except within single quotes, and stands for itself before everything else, so that paths of Windows pass.
 *
 * @throws UsageError when a quote is not closed
 */
export function splitCommand(command: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < command.length; i++) {
    const char = command[i]!;
    const next = command[i + 1];
    if (char === "\\" && quote !== "'" && next !== undefined && /["'\\\s]/.test(next)) {
      word = (word ?? "") + next;
      i += 1;
    } else if (char === quote) quote = undefined;
    else if (quote === undefined && (char === '"' || char === "'")) {
      quote = char;
      word ??= "";
    } else if (quote === undefined && /\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + char;
  }
  if (quote !== undefined) throw new UsageError(`--caption-command ${command}: a ${quote} is never closed: close it`);
  return word === undefined ? words : [...words, word];
}

/** What the program prints, as one line. */
function output(program: string, args: readonly string[], seconds: number, image: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: seconds * 1000, killSignal: "SIGKILL", maxBuffer: MOST_BYTES } as const;
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout.replace(/\s+/g, " ").trim());
      const code = systemCode(error);
      if (code === "ENOENT" || code === "EACCES") {
        return reject(
          new UsageError(`--caption-command: there is no program ${program} that can be run: check its path`),
        );
      }
      // The last line says what is wrong where a program prints the way that led to it.
      const last = stderr
        .trimEnd()
        .split(/[\r\n]/)
        .at(-1)!;
      const said = last === "" ? "" : `: ${oneLine(last)}`;
      const how =
        error.killed && code === undefined
          ? `took longer than ${seconds} s`
          : `ended with ${error.code ?? error.signal}`;
      reject(new UserError(`caption: ${program} ${how} for ${image}${said}`));
    });
  });
}
