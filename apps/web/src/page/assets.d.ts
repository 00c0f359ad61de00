/** The address of a file that is built into the page. */
declare module "*.jpg?url" {
  const url: string;
  export default url;
}

interface ImportMeta {
  /** Put here by the bundler. */
  readonly env: { readonly PROD: boolean };
}
