/** Light, dark, or as the system has it. */
import { css, html, LitElement, type TemplateResult } from "lit";
import * as icons from "./icons.ts";
import { controls } from "./look.ts";
import type { Settings } from "./settings.ts";

type Theme = Settings["theme"];

const THEMES: Readonly<Record<Theme, { readonly next: Theme; readonly name: string; readonly icon: TemplateResult }>> =
  {
    auto: { next: "light", name: "as the system", icon: icons.SYSTEM },
    light: { next: "dark", name: "light", icon: icons.SUN },
    dark: { next: "auto", name: "dark", icon: icons.MOON },
  };

/** `<deplsr-theme>`: a button that goes round; says the next with `theme`. */
export class ThemeSwitch extends LitElement {
  static override properties = { theme: { attribute: false } };
  declare theme: Theme;

  constructor() {
    super();
    this.theme = "auto";
  }

  override render(): TemplateResult {
    const { next, name, icon } = THEMES[this.theme];
    return html`<button class="plain" aria-label="Colours: ${name}" title="Colours: ${name}"
      @click=${() => this.dispatchEvent(new CustomEvent("theme", { detail: next }))}>${icon}</button>`;
  }

  static override styles = [
    controls,
    css`
      button {
        padding: 0 9px;
      }
    `,
  ];
}

/** Shows a page in a theme. */
export function showTheme(theme: Theme): void {
  document.documentElement.style.colorScheme = theme === "auto" ? "light dark" : theme;
}

customElements.define("deplsr-theme", ThemeSwitch);
