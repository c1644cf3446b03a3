// Making elements, and writing numbers and times. Text from the store is only ever a text node.

export const byId = (id) => document.getElementById(id);

/** Make an element: its class, and its children, which are elements or texts. */
export function make(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children.map((child) => (child instanceof Node ? child : visible(String(child)))));
  return element;
}

/** Write what has no shape, or would turn the direction of the text around it, as an escape. */
export function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

export const number = (value) => value.toLocaleString("en");
export const percent = (value) => (value === null ? "-" : `${value.toFixed(1)} %`);
export const clock = (iso) => new Date(iso).toLocaleTimeString("en-GB");
export const words = (state) => state.replaceAll("_", " ");

/** Write a duration in the largest unit that holds it. */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.trunc(milliseconds / 1000));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) {
    if (seconds >= size) return `${Math.trunc(seconds / size)}${unit}`;
  }
  return `${seconds}s`;
}

export const between = (from, to) => span(Date.parse(to) - Date.parse(from));

/** Fill a table; a cell is [text, class]. Its place stays where it was scrolled to. */
export function fill(table, titles, rows) {
  const head = make("tr", "", ...titles.map(([title, kind]) => {
    const cell = make("th", kind, title);
    cell.scope = "col";
    return cell;
  }));
  const body = rows.map((row) => make("tr", "", ...row.map(([text, kind]) => make("td", kind, text))));
  table.replaceChildren(make("thead", "", head), make("tbody", "", ...body));
}
