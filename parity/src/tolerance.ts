/** How the tensors of a parity fixture are compared: the rules of its metadata, which are the only authority. */

/** What a tensor of a fixture is for. Those of role `input` are read, the others are expected. */
export type Role = "input" | "forward" | "gradient";

const ROLES: readonly Role[] = ["input", "forward", "gradient"];

/**
 * One rule. The bound of a tensor `b` is `rel · max|b| + abs + floor · G`, where G is the largest magnitude over all gradients (of the
 * same case with `scope: "case"`). At most the share `fraction` of the values may exceed it, none of those by more than `step`. For
 * integers: at most the share `fraction` differs, by at most `level`.
 */
export interface Rule {
  readonly rel?: number;
  readonly abs?: number;
  readonly floor?: number;
  readonly scope?: "case";
  readonly fraction?: number;
  readonly step?: number;
  readonly level?: number;
}

/** The rules of a fixture: by role, and first of all by name. */
export interface Tolerance {
  readonly forward?: Rule;
  readonly gradient?: Rule;
  readonly overrides: readonly (readonly [glob: string, rule: Rule])[];
  /** `fraction` and `step` of the top level: they hold for every forward tensor whose rule has no `fraction`. */
  readonly shared: Rule;
}

/** Name globs by role. */
export type RoleGlobs = Readonly<Record<Role, readonly string[]>>;

const NUMBER_FIELDS = ["rel", "abs", "floor", "fraction", "step", "level"] as const;

/** Reads `tolerance`. Throws an `Error` that names the field when there is anything that is not understood. */
export function parseTolerance(value: unknown): Tolerance {
  const fields = record(value, "tolerance");
  const known = new Set(["forward", "gradient", "overrides", "fraction", "step"]);
  for (const name of Object.keys(fields)) {
    if (!known.has(name)) throw new Error(`tolerance: "${name}" is not understood`);
  }
  const optional = (name: "forward" | "gradient"): Rule | undefined =>
    fields[name] === undefined ? undefined : parseRule(fields[name], `tolerance.${name}`);
  const forward = optional("forward");
  const gradient = optional("gradient");
  const { fraction, step, overrides = {} } = fields;
  return {
    ...(forward && { forward }),
    ...(gradient && { gradient }),
    overrides: Object.entries(record(overrides, "tolerance.overrides")).map(
      ([glob, rule]) => [glob, parseRule(rule, `tolerance.overrides["${glob}"]`)] as const,
    ),
    shared: parseRule(
      { ...(fraction !== undefined && { fraction }), ...(step !== undefined && { step }) },
      "tolerance",
    ),
  };
}

/** Reads `roles`. Throws an `Error` when it is not lists of globs for the three roles. */
export function parseRoles(value: unknown): RoleGlobs {
  const fields = record(value, "roles");
  for (const name of Object.keys(fields)) {
    if (!ROLES.some((role) => role === name)) throw new Error(`roles: "${name}" is not understood`);
  }
  const globs = (role: Role): readonly string[] => {
    const list = fields[role] ?? [];
    if (Array.isArray(list) && list.every((glob) => typeof glob === "string")) return list;
    throw new Error(`roles.${role} is not a list of names`);
  };
  return { input: globs("input"), forward: globs("forward"), gradient: globs("gradient") };
}

/** The one role of a tensor. Throws an `Error` when no role or more than one matches. */
export function roleOf(name: string, roles: RoleGlobs): Role {
  const matching = ROLES.filter((role) => roles[role].some((glob) => matchesGlob(name, glob)));
  const [role] = matching;
  if (role === undefined) throw new Error(`roles: tensor "${name}" has no role`);
  if (matching.length > 1) throw new Error(`roles: tensor "${name}" is both ${matching.join(" and ")}`);
  return role;
}

/** The rule of an expected tensor: the first matching override, else its role's. Throws an `Error` when there is none. */
export function ruleOf(name: string, role: Role, tolerance: Tolerance): Rule {
  const override = tolerance.overrides.find(([glob]) => matchesGlob(name, glob));
  const rule = override?.[1] ?? (role === "gradient" ? tolerance.gradient : tolerance.forward);
  if (!rule) throw new Error(`tolerance: there is no rule for ${role} tensor "${name}"`);
  return role === "forward" && rule.fraction === undefined ? { ...rule, ...tolerance.shared } : rule;
}

/** Whether `glob` is the whole `name`; `*` stands for any run of characters, dots included. */
export function matchesGlob(name: string, glob: string): boolean {
  const parts = glob.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^]*")}$`).test(name);
}

/** A rule as it is printed: `rel 1e-5 floor 1e-6`. */
export function formatRule(rule: Rule): string {
  const parts = NUMBER_FIELDS.filter((field) => rule[field] !== undefined).map(
    (field) => `${field} ${formatNumber(rule[field]!)}`,
  );
  return parts.length > 0 ? parts.join(" ") : "exact";
}

/** A short number of two digits: `0`, `1.2e-7`, `0.05`. */
export function formatNumber(value: number): string {
  const short = Number(value.toPrecision(2));
  return short !== 0 && Math.abs(short) < 1e-3 ? short.toExponential() : String(short);
}

function parseRule(value: unknown, where: string): Rule {
  const fields = record(value, where);
  const rule: { -readonly [Field in keyof Rule]: Rule[Field] } = {};
  for (const [name, field] of Object.entries(fields)) {
    const numeric = NUMBER_FIELDS.find((known) => known === name);
    if (numeric && typeof field === "number" && field >= 0) rule[numeric] = field;
    else if (name === "scope" && field === "case") rule.scope = field;
    else throw new Error(`${where}: ${name} ${JSON.stringify(field)} is not understood`);
  }
  return rule;
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`${where} is not an object`);
}
