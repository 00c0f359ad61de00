/** A button that opens the browser's choice of files, or the camera. */
import { html, nothing, type TemplateResult } from "lit";

/** Which button. */
export interface ChooserOptions {
  readonly text: TemplateResult | string;
  readonly label?: string;
  readonly primary?: boolean;
  /** Whether the camera is opened where there is one. */
  readonly camera?: boolean;
}

/** A button and its file field, which says files to `take`. */
export function fileChooser(take: (files: readonly File[]) => void, options: ChooserOptions): TemplateResult {
  const { text, label, primary = false, camera = false } = options;
  const field = (event: Event): HTMLInputElement =>
    (event.currentTarget as HTMLElement).nextElementSibling as HTMLInputElement;
  const chosen = ({ target }: Event): void => {
    const input = target as HTMLInputElement;
    take([...(input.files ?? [])]);
    // The same file again is a change then.
    input.value = "";
  };
  return html`<button class="${primary ? "primary" : ""} ${camera ? "camera" : ""}" aria-label=${label ?? nothing}
      @click=${(event: Event) => field(event).click()}>${text}</button>
    <input type="file" hidden accept="image/*" ?multiple=${!camera} capture=${camera ? "environment" : nothing}
      aria-label=${camera ? "Photo from the camera" : "Photo files"} @change=${chosen}>`;
}
