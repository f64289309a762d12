// What the components have in common to look at. An application changes it by setting these properties on the element.

export const THEME = `
:host {
  --surface: var(--millrace-surface, #ffffff);
  --raised: var(--millrace-raised, #f4f5f8);
  --text: var(--millrace-text, #1c2130);
  --quiet: var(--millrace-quiet, #5d6579);
  --line: var(--millrace-line, #dfe2ea);
  --accent: var(--millrace-accent, #3a5ccc);
  --good: var(--millrace-good, #1c7c4a);
  --warn: var(--millrace-warn, #8a5a00);
  --bad: var(--millrace-bad, #b3261e);
  color: var(--text);
  color-scheme: light dark;
  display: block;
  font: 0.9375rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :host {
    --surface: var(--millrace-surface, #171a22);
    --raised: var(--millrace-raised, #20242f);
    --text: var(--millrace-text, #e8eaf1);
    --quiet: var(--millrace-quiet, #a0a8bb);
    --line: var(--millrace-line, #303645);
    --accent: var(--millrace-accent, #8ba7ff);
    --good: var(--millrace-good, #62d295);
    --warn: var(--millrace-warn, #f0bd5c);
    --bad: var(--millrace-bad, #ff8a80);
  }
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
.card {
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: 14px;
  padding: 1.125rem 1.25rem;
}
.spoken {
  clip-path: inset(50%);
  height: 1px;
  overflow: hidden;
  position: absolute;
  white-space: nowrap;
  width: 1px;
}
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`;
