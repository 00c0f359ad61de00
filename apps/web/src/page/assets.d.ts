/** The address of a file that is built into the page. */
declare module "*.jpg?url" {
  const url: string;
  export default url;
}
