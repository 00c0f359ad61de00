import { describe, expect, it } from "vitest";
import { cleanText, unescapeHtml } from "../src/index.ts";

describe("unescapeHtml", () => {
  it.each([
    ["&notit;", "¬it;"],
    ["&amp &ampx;", "& &x;"],
    ["&#x80;&#128;", "€€"],
    ["&#0;&#xD800;&#x110000;&#99999999999999999999;", "\ufffd\ufffd\ufffd\ufffd"],
    ["a&#1;b&#x7f;c&#xfffe;d", "abcd"],
    ["&unknown; &", "&unknown; &"],
    ["&NotEqualTilde;", "\u2242\u0338"],
    ["&constructor;", "&constructor;"],
  ])("resolves %j as Python does", (text, expected) => {
    expect(unescapeHtml(text)).toBe(expected);
  });
});

describe("cleanText", () => {
  it("unescapes twice, collapses white space, trims and lowers", () => {
    expect(cleanText("  &amp;lt;B&amp;gt;\u00a0\t\r\n Bold\u3000 ")).toBe("<b> bold");
  });

  it("repairs before anything else", () => {
    expect(cleanText("SCHÃ–N &amp;lt; “groÃŸ”\x85")).toBe('schön < "groß"…');
  });

  it("counts as white space what Python does", () => {
    expect(cleanText("<a&#xfeff;b\u2028c\u2003d\u205fe\u180ef")).toBe("<a\ufeffb c d e\u180ef");
  });
});
