/** What made a picture, written into its XMP packet and read back, so that what is done already can be told from what is not. */
import { escapeXml, unescapeXml } from "./xml.ts";

/** What made a picture. */
export interface Provenance {
  /** The hash of the network's weights, as hexadecimal. */
  readonly model: string;
  /** What was asked for: everything that changes the result. */
  readonly options: Readonly<Record<string, string | number | boolean | null>>;
}

/** The namespace of our entries; a name, nothing stands there. */
export const NAMESPACE = "https://deplsr.dev/ns/1.0/";

/** An XMP packet with what made the picture in it: the given one, or a new one where there is none or it is no XMP. */
export function withProvenance(xmp: string | null, provenance: Provenance): string {
  const entry =
    `<rdf:Description rdf:about="" xmlns:deplsr="${NAMESPACE}" deplsr:model="${escapeXml(provenance.model)}" ` +
    `deplsr:options="${escapeXml(JSON.stringify(provenance.options))}"/>`;
  const rest = xmp?.replace(ENTRY, "");
  const end = rest?.lastIndexOf("</rdf:RDF>") ?? -1;
  if (rest !== undefined && end >= 0) return `${rest.slice(0, end)}${entry}${rest.slice(end)}`;
  return (
    '<?xpacket begin="\uFEFF" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">' +
    `<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">${entry}</rdf:RDF></x:xmpmeta><?xpacket end="w"?>`
  );
}

/** What an XMP packet says of what made its picture; null where it says nothing. */
export function provenanceOf(xmp: string | null): Provenance | null {
  const [, model, options] = (xmp !== null && ENTRY.exec(xmp)) || [];
  if (model === undefined || options === undefined) return null;
  try {
    const parsed: unknown = JSON.parse(unescapeXml(options));
    if (typeof parsed !== "object" || parsed === null) return null;
    return { model: unescapeXml(model), options: parsed as Provenance["options"] };
  } catch {
    return null;
  }
}

const ENTRY =
  /<rdf:Description rdf:about="" xmlns:deplsr="https:\/\/deplsr\.dev\/ns\/1\.0\/" deplsr:model="([^"]*)" deplsr:options="([^"]*)"\/>/;
