import { describe, expect, it } from "vitest";
import { codePages } from "../src/code-page.ts";
import { fixText } from "../src/index.ts";

// What ftfy 6.3.1 makes of each.
describe("fixText", () => {
  it.each([
    ["Windows-1252", "schÃ¶n und groÃŸ", "schön und groß"],
    ["MacRoman", "conseille g√¢teaux pour un r√©gime √©quilibr√©", "conseille gâteaux pour un régime équilibré"],
    ["Windows-1251", "РїСЂРёРІРµС‚", "привет"],
    ["code page 437", "╨┐╤Ç╨╕╨▓╨╡╤é", "привет"],
    ["Windows-1250", "LiĂ¨ge", "Liège"],
    ["two encodings in one text", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚ и ещё", "привет и ещё"],
    ["twice", "nÃƒÂ©", "né"],
    ["three times", "doesnÃƒÂ¢Ã¢â€šÂ¬Ã¢â€žÂ¢t", "doesn't"],
    ["a lost no-break space", "voilÃ  le chat", "voilà le chat"],
    ["a lost byte", "â€œquotedâ€\ufffd text", '"quoted\ufffd text'],
    ["surrogates in UTF-8", "smile í\xa0½í¸\x80", "smile 😀"],
    ["parts of a text", "cafÃ© and “quotes”", 'café and "quotes"'],
    ["Windows-1252 as Latin-1", "It\x92s \x93here\x94", 'It\'s "here"'],
  ])("repairs UTF-8 that was decoded wrongly: %s", (_, text, fixed) => {
    expect(fixText(text)).toBe(fixed);
  });

  it.each(["NESTLÉ® 4288×…", "Charlotte Brontë…", "g√¢teaux", "Åadna", "ESSE CARA AI QUEM É¿", "∆°", "ВІКІ", "5×£35"])(
    "leaves %j alone",
    (text) => {
      expect(fixText(text)).toBe(text);
    },
  );

  it.each([
    ["ligatures", "ﬁne ﬂow ﬅ ŉ Ǆ", "fine flow ſt 'n DŽ"],
    ["widths", "ＦＵＬＬ\u3000width ｱ", "FULL width ア"],
    ["quotation marks", "“double” ‘single’ L’été", "\"double\" 'single' L'été"],
    ["line ends", "a\r\nb\rc\u2028d\u2029e", "a\nb\nc\nd\ne"],
    ["lone surrogates", "\ud83d lone", "\ufffd lone"],
    ["terminal sequences", "\x1b[36;44mblue\x1b[0m", "blue"],
    ["control characters", "a\0b\x01c\ufeffd\ufffce\u206af\x1a\x7f", "abcdef"],
    ["decomposed letters", "e\u0301", "é"],
    ["references", "&lt;tag&gt; &eacute; &EACUTE; &#38; &#0;", "<tag> é É & \ufffd"],
    ["references of references", "&amp;amp;amp;lt;", "<"],
    ["what is no complete reference", "&nTILDE; &notit; &amp", "&nTILDE; &notit; &amp"],
    ["references from a tag on", "&lt;\n<b>&lt;\n&lt;", "<\n<b>&lt;\n&lt;"],
  ])("handles %s", (_, text, fixed) => {
    expect(fixText(text)).toBe(fixed);
  });
});

describe("codePages", () => {
  it("decode as Python's codecs, whatever the platform's decoders do", () => {
    const sums = codePages().map(({ name, upper }) => [
      name,
      Array.from(upper).reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 1_000_003, 0),
    ]);
    expect(Object.fromEntries(sums)).toEqual({
      "latin-1": 547770,
      "windows-1252": 885078,
      "windows-1251": 149437,
      "windows-1250": 981669,
      "windows-1253": 888576,
      "windows-1254": 579915,
      "windows-1257": 82047,
      "iso-8859-2": 425836,
      macintosh: 45804,
      cp437: 73222,
    });
  });
});
