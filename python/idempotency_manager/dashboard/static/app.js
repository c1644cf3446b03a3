// Asks for the newest snapshot again and again, and shows it.

import { Chart } from "/chart.js";
import { between, byId, clock, fill, make, number, percent, visible, words } from "/dom.js";
import { ask } from "/question.js";

// The token stays in no history and in no bookmark: the cookie stands for it.
history.replaceState(null, "", "/");

const rate = new Chart(byId("rate"), byId("rate-now"), { title: "Hit rate", unit: "%", top: 100 });
const duplicates = new Chart(byId("duplicates"), byId("duplicates-now"), { title: "Duplicates prevented", unit: "a second" });
let interval = 2000, timer = 0, shown = "";

const put = (id, text) => { byId(id).textContent = visible(text); };

// ---------------------------------------------------------------- statistics

function tile(label, value, { bad = false, full = null } = {}) {
  const parts = [make("dt", "", label), make("dd", "", value)];
  if (full !== null) {
    const meter = make("meter");
    Object.assign(meter, { min: 0, max: 100, high: 90, optimum: 0, value: full, ariaLabel: "Utilisation" });
    parts[0].append(meter);
  }
  return make("div", bad ? "bad" : "", ...parts);
}

function showTiles({ counters, held, doubts }) {
  const counted = (value) => (held ? value(held) : "…");
  byId("tiles").replaceChildren(
    tile(counted((all) => `records, ${number(all.in_progress)} in progress`), counted((all) => number(all.size))),
    tile("in doubt", doubts ? number(doubts.total) : "…", { bad: doubts !== null && doubts.total > 0 }),
    tile(`hits of ${number(counters.lookups)} look-ups`, percent(counters.hit_rate)),
    tile("duplicates prevented", number(counters.duplicates_prevented)),
    held?.max_size
      ? tile(`of ${number(held.max_size)} records`, percent(held.utilization), { bad: held.utilization > 90, full: held.utilization })
      : tile("utilisation: records have no cap", held ? "no cap" : "…"),
    tile(`expired and removed, ${number(counters.evicted)} evicted`, number(counters.expired_cleaned)),
  );
}

// ---------------------------------------------------------------- tables

const state = (entry) => [words(entry.state), `${entry.state} minor`];
const counted = (value) => [number(value), "number"];

function showTables({ taken_at: now, hottest, retried, expiring, sample, of_all: ofAll }) {
  put("hot-note", hottest.length ? `Most calls first, ${sample}.` : "No key was asked for twice.");
  fill(byId("hottest"), [["Calls", "number"], ["State", "minor"], ["Age", "number minor"], ["Key", "long"]], hottest.map((entry) =>
    [counted(entry.attempts), state(entry), [between(entry.started_at, now), "number minor"], [entry.key, "long"]]));

  put("retried-note", retried.length ? `Most calls beyond the first of each action, ${sample}.` : "No signal was retried.");
  fill(byId("retried"), [["Retries", "number"], ["Calls", "number"], ["Actions", "number"], ["Signal", "long"]], retried.map((one) =>
    [counted(one.retries), counted(one.calls), counted(one.keys), [one.signal_id, "long"]]));

  const which = ofAll ? "" : `, ${sample}`;
  put("expiring-note", expiring.length ? `The next to be forgotten first${which}.` : "Nothing is about to expire.");
  fill(byId("expiring"), [["Left", "number"], ["State", "minor"], ["Calls", "number minor"], ["Key", "long"]], expiring.map((entry) =>
    [[between(now, entry.expires_at), "number"], state(entry), [number(entry.attempts), "number minor"], [entry.key, "long"]]));
  for (const id of ["hottest", "retried", "expiring"]) byId(id).hidden = !byId(id).tBodies[0].rows.length;
}

// ---------------------------------------------------------------- in doubt

function showDoubts({ doubts, taken_at: now }, allowChanges) {
  const total = doubts?.total ?? 0;
  put("doubt-count", doubts ? number(total) : "…");
  byId("doubt-count").classList.toggle("some", total > 0);
  const rest = doubts && total > doubts.entries.length ? ` The first ${number(doubts.entries.length)} of ${number(total)}.` : "";
  put("doubt-note", doubts === null ? "Being looked for…" : total ? `Started and never finished: nobody knows whether these happened.${rest}` : "Nothing is in doubt.");
  const fresh = JSON.stringify([doubts, allowChanges, between(doubts?.entries[0]?.started_at ?? now, now)]);
  if (fresh === shown) return; // what the person has focused or unfolded stays as it is
  shown = fresh;
  const unfolded = new Set([...byId("doubts").querySelectorAll("li:has(details[open])")].map((item) => item.dataset.key));
  const focused = document.activeElement?.closest("#doubts li")?.dataset.key, name = document.activeElement?.className;
  byId("doubts").replaceChildren(...(doubts?.entries ?? []).map((entry) => doubt(entry, now, allowChanges)));
  for (const item of byId("doubts").children) {
    if (unfolded.has(item.dataset.key)) item.querySelector("details").open = true;
    if (item.dataset.key === focused) (item.getElementsByClassName(name)[0] ?? item.querySelector("summary"))?.focus();
  }
}

function doubt(entry, now, allowChanges) {
  const by = entry.owner ? ` by ${entry.owner}` : "", calls = entry.attempts === 1 ? "once" : `${number(entry.attempts)} times`;
  const why = entry.error ?? "the end of its process, or of its lease";
  const item = make("li", "",
    make("p", "key", entry.key),
    make("p", "about", `started ${between(entry.started_at, now)} ago${by}, asked for ${calls}; broken off by ${why}`));
  item.dataset.key = entry.key;
  if (allowChanges) {
    item.append(make("p", "ways", button("happened", "It happened…", () => ask(entry, true, poll)),
      button("not", "It did not…", () => ask(entry, false, poll))));
  } else {
    item.append(make("details", "", make("summary", "settle", "How to settle it"),
      make("p", "", "It happened:", make("code", "", entry.it_happened)),
      make("p", "", "It did not:", make("code", "", entry.it_did_not))));
  }
  return item;
}

function button(name, text, action) {
  const made = make("button", name, text);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}

// ---------------------------------------------------------------- again and again

function show({ snapshot, allow_changes: allowChanges, interval: seconds }) {
  interval = Math.max(250, seconds * 1000);
  put("store", snapshot.store);
  put("namespace", snapshot.namespace);
  put("mode", allowChanges ? "changes allowed" : "read-only");
  byId("mode").classList.toggle("grave", allowChanges);
  told(snapshot.problem, snapshot.problem ? "the store does not answer" : `${clock(snapshot.taken_at)}, every ${seconds} s`);
  showTiles(snapshot);
  rate.show(snapshot.history.map(({ at, hit_rate: value }) => ({ at, value })));
  duplicates.show(snapshot.history.map(({ at, duplicates_per_second: value }) => ({ at, value })));
  showDoubts(snapshot, allowChanges);
  showTables(snapshot);
}

/** Say how things stand; what is wrong, where something is. */
function told(problem, text) {
  put("state", text);
  byId("state").className = `state ${problem ? "off" : "on"}`;
  if (byId("problem").textContent !== visible(problem ?? "")) put("problem", problem ?? "");
  byId("problem").hidden = !problem;
}

async function poll() {
  clearTimeout(timer);
  try {
    const answer = await fetch("/snapshot");
    if (answer.ok) show(await answer.json());
    else told(await answer.text(), "not allowed");
  } catch {
    told("The dashboard does not answer: has `idempotency dashboard` ended? What is shown is the last that was known.", "gone");
  }
  if (!document.hidden) timer = setTimeout(poll, interval);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
poll();
