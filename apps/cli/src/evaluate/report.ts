/** An evaluation as lines for people, and as files. */
import { join } from "node:path";
import { csv } from "../data/csv.ts";
import { listSkipped } from "../data/skipped.ts";
import { writeTable } from "../data/tsv.ts";
import { checkPlace, writeFileAtomic } from "../files.ts";
import { refuseExisting } from "../flags.ts";
import { counted, type Output, table } from "../output.ts";
import type { Answer, Confusion } from "./answers.ts";
import type { Evaluation } from "./evaluate.ts";
import type { RetrievalValues } from "./retrieval.ts";

/** So many of those left out are named. */
const NAMED = 5;
/** The columns of the answers' table, keys of an `Answer`. */
const ANSWER_COLUMNS = [
  "filepath",
  "kind",
  "level",
  "answer",
  "probability",
  "right",
] as const satisfies (keyof Answer)[];

/**
 * The accuracies beside what guessing and the best constant answer reach, which levels are taken for which, the retrieval, and which images
 * were left out.
 *
 * @param ranks whether the retrieval is told: where many images have one caption it says nothing
 * @param confusion whether the confusion tables are told
 */
export function printEvaluation(
  evaluation: Evaluation,
  output: Output,
  { ranks = true, confusion = true }: { readonly ranks?: boolean; readonly confusion?: boolean } = {},
): void {
  const { accuracy, chance, constant, retrieval, images, skipped } = evaluation;
  const rows = Object.keys(accuracy).map((name) => [
    name,
    percent(accuracy[name]!),
    percent(chance[name]!),
    percent(constant[name]!),
  ]);
  for (const line of table(["recognised", "accuracy", "chance", "best constant answer"], rows)) output.line(line);
  for (const line of belowConstant(evaluation)) output.warn(line);
  for (const line of confusion ? confusionLines(evaluation.confusion) : []) output.line(line);
  for (const line of ranks && retrieval ? retrievalLines(retrieval) : []) output.line(line);
  output.line(counted(images, "image"));
  listSkipped(output, skipped, `${skipped.length} of ${counted(images + skipped.length, "image")}`, NAMED);
}

/** A line for each degradation that is recognised less often than by always giving one answer. */
export function belowConstant({ accuracy, constant, constantAnswer }: Evaluation): string[] {
  return Object.keys(accuracy)
    .filter((name) => accuracy[name]! < constant[name]!)
    .map(
      (name) =>
        `${name}: its accuracy of ${percent(accuracy[name]!)} is below the ${percent(constant[name]!)} of always answering ${constantAnswer[name]!}`,
    );
}

/** The confusion tables one below the other, a row for each level that there is and a column for each that can be answered. */
export function confusionLines(confusion: Evaluation["confusion"]): string[] {
  const heading = "taken for (a row for the level that it is, a column for the level that was answered):";
  const tables = Object.entries(confusion).flatMap(([name, { levels, counts, right }]) =>
    table(
      [name.padEnd(10), ...levels.map((level) => level.padStart(4)), "right".padStart(7)],
      levels.map((level, row) => [
        level.padStart(10),
        ...counts[row]!.map(String),
        right[row] === null ? "-" : percent(right[row]!),
      ]),
    ),
  );
  return ["", heading, ...tables, ""];
}

function retrievalLines(retrieval: RetrievalValues): string[] {
  const columns = ["mean_rank", "median_rank", "R@1", "R@5", "R@10"];
  const rows = ["image_to_text", "text_to_image"].map((direction) => {
    const values = columns.map((column) => retrieval[`${direction}_${column}`]!);
    return [direction, ...values.map((value, i) => (i < 2 ? value.toFixed(1) : percent(value)))];
  });
  return [...table(["found among all", ...columns], rows), `clip_val_loss ${retrieval.clip_val_loss!.toFixed(4)}`];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** The files of an evaluation. */
export interface EvaluationFiles {
  /** A TSV with a row for each image and degradation. */
  readonly answers: string;
  /** A CSV for each degradation, by its name. */
  readonly confusion: Readonly<Record<string, string>>;
}

/**
 * The files of an evaluation in a folder, checked before any work.
 *
 * @param kinds names of the degradations
 * @throws UserError when one is there and is not to be replaced, WriteError when one cannot be written
 */
export async function evaluationFiles(
  folder: string,
  kinds: readonly string[],
  overwrite: boolean,
): Promise<EvaluationFiles> {
  const files = {
    answers: join(folder, "answers.tsv"),
    confusion: Object.fromEntries(kinds.map((kind) => [kind, join(folder, `confusion_${kind}.csv`)])),
  };
  const all = [files.answers, ...Object.values(files.confusion)];
  for (const file of all) await refuseExisting("evaluate", file, overwrite);
  for (const file of all) await checkPlace(file);
  return files;
}

/** Writes them. */
export async function writeEvaluation({ answers, confusion }: Evaluation, files: EvaluationFiles): Promise<void> {
  const rows = answers.map((answer) =>
    Object.fromEntries(ANSWER_COLUMNS.map((column) => [column, String(answer[column] ?? "")])),
  );
  await writeTable(files.answers, ANSWER_COLUMNS, rows);
  for (const [kind, file] of Object.entries(files.confusion)) {
    await writeFileAtomic(file, confusionCsv(confusion[kind]!));
  }
}

/** A row for each level: its images by the level that was answered, and the share of right answers, empty where it has no image. */
export function confusionCsv({ levels, counts, right }: Confusion): string {
  const rows = levels.map((level, row) => [level, ...counts[row]!.map(String), String(right[row] ?? "")]);
  return csv([["level", ...levels, "right"], ...rows]);
}
