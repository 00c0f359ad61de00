/** What is wrong with a photo, as bars. */
import { css, html, LitElement, type TemplateResult } from "lit";
import { ref } from "lit/directives/ref.js";
import type { SeenDegradation } from "../client/api.ts";
import { controls } from "./look.ts";
import { kindName, seenSentence, severityWord } from "./words.ts";

/** `<deplsr-seen>`: a sentence and five bars; their outlines while nothing is known yet. */
export class SeenBars extends LitElement {
  static override properties = { seen: { attribute: false } };
  declare seen: readonly SeenDegradation[] | null;

  constructor() {
    super();
    this.seen = null;
  }

  override render(): TemplateResult {
    if (this.seen === null) {
      return html`<p class="quiet">Looking …</p>
        <ul aria-hidden="true">${["blur", "gaussian", "poisson", "jpeg", "ringing"].map(
          (kind) => html`<li><div class="line"><span>${kindName(kind)}</span></div><div class="track"></div></li>`,
        )}</ul>`;
    }
    return html`<p>${seenSentence(this.seen)}</p><ul>${this.seen.map(bar)}</ul>`;
  }

  static override styles = [
    controls,
    css`
      ul {
        display: grid;
        gap: 10px;
        margin-top: 10px;
      }
      .line {
        display: flex;
        flex-wrap: wrap;
        justify-content: space-between;
        gap: 0 12px;
        font-size: 14px;
      }
      .track {
        height: 6px;
        margin-top: 3px;
        overflow: hidden;
        border-radius: 3px;
        background: var(--line);
      }
      .fill {
        width: 0;
        height: 100%;
        border-radius: 3px;
        background: var(--accent);
        transition: width 0.4s ease-out;
      }
      @media (prefers-reduced-motion: reduce) {
        .fill {
          transition: none;
        }
      }
      @media (forced-colors: active) {
        .track {
          border: 1px solid CanvasText;
        }
        .fill {
          background: Highlight;
          forced-color-adjust: none;
        }
      }
    `,
  ];
}

function bar({ kind, level, severity, certainty }: SeenDegradation): TemplateResult {
  const percent = Math.round(100 * severity);
  const sure = `${Math.round(100 * certainty)} % sure`;
  // A style attribute would be against the page's security policy.
  const fill = ref((element) => (element as HTMLElement | undefined)?.style.setProperty("width", `${percent}%`));
  return html`
    <li>
      <div class="line">
        <span>${kindName(kind)}</span>
        <span class="quiet numbers">${level} · ${sure}</span>
      </div>
      <div class="track" role="meter" aria-label=${kindName(kind)} aria-valuemin="0" aria-valuemax="100"
        aria-valuenow=${percent} aria-valuetext="${severityWord(severity)}: ${level}, ${sure}"><div class="fill" ${fill}></div></div>
    </li>`;
}

customElements.define("deplsr-seen", SeenBars);
