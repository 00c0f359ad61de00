import { describe, expect, test } from "vitest";
import { z } from "zod";
import { semanticRun } from "../../src/config/degrade.ts";
import { checkConfig } from "../../src/config/parse.ts";
import { isGroup, keysAt } from "../../src/config/schema.ts";
import { srRun, srTest } from "../../src/config/sr.ts";
import { srclipRun } from "../../src/config/srclip.ts";

const SET = { dataroot_gt: "gt", dataroot_lq: "lq" };
const NETWORK = { type: "DAT", upscale: 2 };

/** Whole configurations, one for each alternative of their groups. */
const FILES: readonly [name: string, schema: z.ZodType, value: Record<string, unknown>][] = [
  ...[
    { type: "MultiStepLR", milestones: [5] },
    { type: "MultiStepRestartLR", milestones: [5], restarts: [0, 4], restart_weights: [1, 0.5] },
    { type: "CosineAnnealingRestartLR", periods: [5, 5], restart_weights: [1, 0.5] },
    { type: "CosineAnnealingLR", T_max: 5 },
  ].map((scheduler): [string, z.ZodType, Record<string, unknown>] => [
    `sr ${scheduler.type}`,
    srRun,
    {
      name: "a",
      scale: 2,
      datasets: { train: SET, val: SET, val_2: SET },
      network_g: NETWORK,
      network_clip: { type: "a" },
      path: {},
      train: { optim_g: { lr: 1e-4 }, scheduler, total_iter: 9, pixel_opt: {} },
      val: { metrics: { psnr: { type: "calculate_psnr" }, niqe: { type: "calculate_niqe" }, a: { type: "lpips" } } },
      logger: {},
    },
  ]),
  ["test", srTest, { name: "a", scale: 2, datasets: { test_1: SET }, network_g: NETWORK, path: {}, val: {} }],
  [
    "srclip",
    srclipRun,
    {
      name: "a",
      model: {
        embed_dim: 8,
        vision_cfg: { image_size: 8, patch_size: 4, width: 8, layers: 1 },
        text_cfg: { width: 8, heads: 1, layers: 1 },
      },
      train_data: "a.tsv",
      steps: 3,
    },
  ],
  ["degrade", semanticRun, { datasets: { train: {} } }],
];

/** What somebody may write instead of a word. */
function misspelt(word: string): string[] {
  const mistakes = [
    `${word}s`,
    `${word}_`,
    word.slice(1),
    word.slice(0, -1),
    word.toUpperCase(),
    word.replaceAll("_", ""),
  ];
  for (let i = 0; i + 1 < word.length; i += 3) {
    mistakes.push(word.slice(0, i) + word[i + 1]! + word[i]! + word.slice(i + 2));
    mistakes.push(word.slice(0, i) + word[i]! + word.slice(i));
  }
  return [...new Set(mistakes)].filter((mistake) => mistake !== word && /^[a-z]/i.test(mistake));
}

/** The keys of every group that a schema has. */
function keysOf(schema: unknown): string[] {
  if (schema instanceof z.ZodObject) {
    return Object.entries(schema.shape).flatMap(([key, inner]) => [key, ...keysOf(inner)]);
  }
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(keysOf);
  if (schema instanceof z.ZodRecord) return keysOf(schema.valueType);
  if (schema instanceof z.ZodPipe) return [...keysOf(schema.in), ...keysOf(schema.out)];
  const inner = schema instanceof z.ZodType && "unwrap" in schema ? (schema.unwrap as () => unknown)() : undefined;
  return inner === undefined ? [] : keysOf(inner);
}

/** The paths of a value's groups. */
function groupsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (!isGroup(value)) return [];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => groupsOf(inner, [...path, key]))];
}

function withKey(value: unknown, [head, ...rest]: readonly string[], key: string): unknown {
  if (!isGroup(value)) throw new Error("internal: no group");
  return head === undefined ? { ...value, [key]: "?" } : { ...value, [head]: withKey(value[head], rest, key) };
}

function complaint(schema: z.ZodType, value: unknown): string {
  try {
    checkConfig(value, "a.yml", schema);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

describe("did you mean", () => {
  test.each(FILES)("%s: never the word that was written, nor one that is refused there", (_name, schema, value) => {
    expect(complaint(schema, value)).toBe("");
    const all = [...new Set(keysOf(schema))];
    // Every key, and every misspelling of a group's own, in every group: where it is unknown, what is suggested must be known.
    for (const path of groupsOf(value)) {
      for (const word of new Set([...all, ...keysAt(schema, path, value).flatMap(misspelt)])) {
        const found = complaint(schema, withKey(value, path, word));
        const unknown = /unknown key "([^"]+)": did you mean "([^"]+)"/.exec(found);
        if (unknown === null) continue;
        const [, written, suggested] = unknown;
        expect(suggested).not.toBe(word);
        const next = complaint(schema, withKey(value, path, suggested!));
        if (/unknown key|expected ~:/.test(next))
          expect.fail(`${written}: ${suggested} is suggested, and then refused: ${next}`);
      }
    }
  });

  test("one scheduler's keys are not suggested to another's", () => {
    const [, schema, value] = FILES.find(([name]) => name === "sr CosineAnnealingRestartLR")!;
    const scheduler = ["train", "scheduler"];
    expect(complaint(schema, withKey(value, scheduler, "milestones"))).toBe(
      'config: a.yml: unknown key "train.scheduler.milestones": known keys here: type, periods, restart_weights, eta_min',
    );
    expect(complaint(schema, withKey(value, scheduler, "restarts"))).toMatch(/unknown key .*: known keys here: /);
    const [, , cosine] = FILES.find(([name]) => name === "sr CosineAnnealingLR")!;
    expect(complaint(schema, withKey(cosine, scheduler, "restart_weights"))).toMatch(
      /known keys here: type, T_max, eta_min/,
    );
    expect(complaint(schema, withKey(cosine, scheduler, "t_mx"))).toMatch(/known keys here/);
  });

  test("a key that stands there already is not suggested", () => {
    const [, schema, value] = FILES[0]!;
    expect(complaint(schema, withKey(value, ["train", "optim_g"], "lrr"))).toMatch(
      /"train.optim_g.lrr": known keys here: /,
    );
    expect(complaint(schema, withKey(value, ["datasets"], "vall"))).toMatch(
      /unknown key "datasets.vall": known keys here: train, val/,
    );
  });
});
