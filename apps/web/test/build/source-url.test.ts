import { expect, it } from "vitest";
import { sourceUrl } from "../../build/source-url.ts";

it.each([
  ["owner/name", "https://github.com/owner/name"],
  ["gitlab:owner/name", "https://gitlab.com/owner/name"],
  ["git+https://example.org/owner/name.git", "https://example.org/owner/name"],
  ["https://github.com/owner/name", "https://github.com/owner/name"],
  ["git+ssh://git@github.com/owner/name.git", "https://github.com/owner/name"],
  ["git@github.com:owner/name.git", "https://github.com/owner/name"],
])("finds the page of %s", (repository, page) => {
  expect(sourceUrl({ name: "@deplsr/web", repository })).toBe(page);
  expect(sourceUrl({ name: "@deplsr/web", repository: { url: repository } })).toBe(page);
});

it.each([undefined, "", { url: "" }, "nonsense"])("takes npm's page where a package names none: %s", (repository) => {
  const url = sourceUrl({ name: "@deplsr/web", ...(repository === undefined ? {} : { repository }) });
  expect(url).toBe("https://www.npmjs.com/package/@deplsr/web");
});
