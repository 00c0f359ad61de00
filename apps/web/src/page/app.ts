/** The page: photos in, better photos out. */
import { html, LitElement, type TemplateResult } from "lit";
import "./compare-view.ts";
import "./drop-zone.ts";
import "./photo-panel.ts";
import "./photo-strip.ts";
import "./theme-switch.ts";
import type { OpenUpscaler } from "../client/api.ts";
import { appStyle } from "./app-style.ts";
import * as icons from "./icons.ts";
import { listenForFiles } from "./intake.ts";
import type { Item } from "./item.ts";
import { controls, tokens } from "./look.ts";
import { Queue } from "./queue.ts";
import { loadSettings, type Settings, saveSettings } from "./settings.ts";
import { showTheme } from "./theme-switch.ts";
import { oneLine, seenSentence } from "./words.ts";

/** Where this program's source is, put here by the build (`build/source-url.ts`). */
declare const SOURCE_URL: string;

/** `<deplsr-app>`. */
export class App extends LitElement {
  static override properties = {
    settings: { state: true },
    chosen: { state: true },
    over: { state: true },
    takeUpdate: { attribute: false },
    trouble: { state: true },
  };
  declare settings: Settings;
  declare chosen: Item | null;
  /** Whether something is held over the page. */
  declare over: boolean;
  /** Takes a new version of the page; null where there is none. */
  declare takeUpdate: (() => void) | null;
  /** What went wrong beside the photos' own ways, in one line. */
  declare trouble: string | null;
  readonly queue: Queue;
  #revision = 0;
  #said = "";
  #forget: (() => void) | null = null;

  /** @param open opens the upscaler */
  constructor(open: OpenUpscaler) {
    super();
    this.settings = loadSettings();
    this.chosen = null;
    this.over = false;
    this.takeUpdate = null;
    this.trouble = null;
    this.queue = new Queue(open, () => this.settings);
    this.queue.addEventListener("change", () => this.#changed());
    showTheme(this.settings.theme);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#forget = listenForFiles({
      take: (files) => this.take(files),
      over: (over) => {
        this.over = over;
      },
    });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#forget?.();
  }

  /** Takes photos in. */
  take(files: readonly File[]): void {
    this.#add(files, true);
  }

  /** Takes photos in that nothing is done with until somebody asks for it. */
  putBy(files: readonly File[]): void {
    this.#add(files, false);
  }

  #add(files: readonly File[], wanted: boolean): void {
    if (files.length === 0) return;
    const added = files.map((file) => this.queue.add(file, file.name || "photo", wanted));
    this.chosen ??= added[0]!;
    this.requestUpdate();
  }

  override render(): TemplateResult {
    const { queue, chosen } = this;
    const readable = queue.items.filter((item) => !item.unreadable);
    return html`
      <header>
        <a class="name" href="./">DePLSR</a>
        <deplsr-theme .theme=${this.settings.theme} @theme=${(event: CustomEvent<Settings["theme"]>) => this.#set({ theme: event.detail })}></deplsr-theme>
      </header>
      ${this.takeUpdate === null ? "" : this.#notice(this.takeUpdate)}
      <div class="lines" role="alert">
        ${[queue.broken, this.trouble].map((line) => line && html`<p class="line">${icons.WRONG}<span>${line}</span></p>`)}
        ${queue.items.filter((item) => item.unreadable).map((item) => this.#wrong(item))}
      </div>
      ${chosen === null ? html`<main class="empty"><deplsr-drop ?over=${this.over} @photos=${this.#photos}></deplsr-drop></main>` : this.#work(chosen, readable)}
      ${this.#footer()}
      <p class="unseen" role="status">${this.#said}</p>
      ${this.over && chosen !== null ? html`<div class="veil">Drop to add</div>` : ""}
    `;
  }

  #work(chosen: Item, readable: readonly Item[]): TemplateResult {
    const { queue } = this;
    return html`
      <main class="work">
        <h1 class="unseen">${chosen.name}</h1>
        <div class="picture">
          <deplsr-compare .item=${chosen} .revision=${this.#revision} @attention=${this.#attention}></deplsr-compare>
          <deplsr-strip .items=${readable} .chosen=${chosen} .revision=${this.#revision} @photos=${this.#photos}
            @choose=${(event: CustomEvent<Item>) => {
              this.chosen = event.detail;
            }}
            @remove=${(event: CustomEvent<Item>) => queue.remove(event.detail)}></deplsr-strip>
        </div>
        <deplsr-panel .item=${chosen} .revision=${this.#revision} .settings=${this.settings} .device=${queue.device}
          .all=${readable.filter(({ result }) => result !== null)}
          @settings=${(event: CustomEvent<Partial<Settings>>) => this.#set(event.detail)}
          @cancel=${(event: CustomEvent<Item>) => queue.cancel(event.detail)}
          @again=${(event: CustomEvent<Item>) => queue.again(event.detail)}></deplsr-panel>
      </main>`;
  }

  #notice(take: () => void): TemplateResult {
    const done = this.queue.items.filter(({ result }) => result !== null).length;
    const warning = `Download what is done first: ${done === 1 ? "it is" : `all ${done} are`} made again there.`;
    return html`<p class="notice">
      <span>A new version of this page is there. Your photos come with you. ${done > 0 ? warning : ""}</span>
      <button @click=${take}>Take it</button>
    </p>`;
  }

  #wrong(item: Item): TemplateResult {
    const message = item.state.kind === "failed" ? item.state.message : "";
    return html`<p class="line">
      ${icons.WRONG}<span><strong>${item.name}</strong>: ${message}</span>
      <button class="plain" aria-label="Dismiss ${item.name}" @click=${() => this.queue.remove(item)}>${icons.CLOSE}</button>
    </p>`;
  }

  #footer(): TemplateResult {
    const { device, broken } = this.queue;
    const works = device
      ? `${device.name}${device.reason === null ? "" : ` (${device.reason})`}`
      : broken === null
        ? "…"
        : "nothing";
    return html`<footer class="quiet">
      <p>Nothing is uploaded: your photos stay on this device.</p>
      <p class="device">Works on ${works}</p>
      <p>MIT License · <a href=${SOURCE_URL} rel="noopener">Source</a></p>
    </footer>`;
  }

  #set(change: Partial<Settings>): void {
    this.settings = { ...this.settings, ...change };
    saveSettings(this.settings);
    if (change.theme) showTheme(change.theme);
    if (change.backend) void this.queue.reopen();
  }

  readonly #photos = (event: CustomEvent<readonly File[]>): void => this.take(event.detail);

  readonly #attention = (event: CustomEvent<Item>): void => {
    this.trouble = null;
    this.queue.attention(event.detail).catch((error: unknown) => {
      this.trouble = oneLine(error);
    });
  };

  #changed(): void {
    this.#revision++;
    const readable = this.queue.items.filter((item) => !item.unreadable);
    if (this.chosen !== null && !readable.includes(this.chosen)) this.chosen = readable.at(-1) ?? null;
    if (this.chosen === null && readable.length > 0) this.chosen = readable[0]!;
    this.#announce();
    this.requestUpdate();
  }

  /** Says what goes on, for those who do not see it: at quarters, not at every tile. */
  #announce(): void {
    const item = this.queue.items.find(({ working }) => working) ?? this.chosen;
    if (item === null) return;
    const { state, name, seen } = item;
    if (state.kind === "reading") this.#said = `${name}: reading`;
    if (state.kind === "seeing") this.#said = `${name}: looking at it`;
    if (state.kind === "enlarging") {
      const quarter = state.total > 0 ? Math.floor((4 * state.done) / state.total) : 0;
      this.#said = quarter === 0 && seen ? `${name}: ${seenSentence(seen)}` : `${name}: enlarging, ${25 * quarter} %`;
    }
    if (state.kind === "done") this.#said = `${name}: done`;
    if (state.kind === "cancelled") this.#said = `${name}: cancelled`;
  }

  static override styles = [tokens, controls, appStyle];
}

customElements.define("deplsr-app", App);
