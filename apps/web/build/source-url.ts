/** Where a package's source is, for a link. */

/** What of a package.json says so. */
export interface PackageFacts {
  readonly name: string;
  /** "owner/name", "github:owner/name" (gitlab, bitbucket), an address, or an object with one; as npm takes them. */
  readonly repository?: string | { readonly url?: string };
}

const HOSTS: Readonly<Record<string, string>> = {
  github: "https://github.com/",
  gitlab: "https://gitlab.com/",
  bitbucket: "https://bitbucket.org/",
};

/** The address of its repository, of which browsers show a page; without one, that of its page at npm. */
export function sourceUrl({ name, repository }: PackageFacts): string {
  const given = (typeof repository === "string" ? repository : repository?.url)?.trim() ?? "";
  const [, host = "github", path] = /^(?:(github|gitlab|bitbucket):)?([\w.-]+\/[\w.-]+)$/.exec(given) ?? [];
  if (path !== undefined) return `${HOSTS[host]}${path}`;
  // git+https://…, git://…, ssh://git@…, git@host:owner/name
  const [, place] = /^(?:git\+)?(?:https?|git|ssh):\/\/(?:[^@/]+@)?(.+?)(?:\.git)?\/?$/.exec(given) ?? [];
  if (place !== undefined) return `https://${place}`;
  const [, server, folder] = /^[^@/]+@([^:/]+):(.+?)(?:\.git)?$/.exec(given) ?? [];
  return server === undefined ? `https://www.npmjs.com/package/${name}` : `https://${server}/${folder}`;
}
