// Asks what became of an action in doubt, before anything is changed.

import { byId, visible } from "/dom.js";

const WORDS = {
  true: ["It happened?", "Nothing runs any more: every duplicate gets the result that you give here. null is one, too.", "It happened"],
  false: ["It did not happen?", "The next caller runs it. If it did happen after all, it happens twice: look at the target first.", "It did not happen"],
};
let current = null;

/** Ask about an entry; `then` is called when something was changed. */
export function ask(entry, happened, then) {
  current = { key: entry.key, happened, then };
  const [title, text, confirm] = WORDS[happened];
  byId("question-title").textContent = title;
  byId("question-key").textContent = visible(entry.key);
  byId("question-text").textContent = text;
  byId("question-confirm").textContent = confirm;
  byId("question-field").hidden = !happened;
  byId("question-result").value = "";
  refuse("");
  byId("question").showModal();
  (happened ? byId("question-result") : byId("question-cancel")).focus();
}

function refuse(problem) {
  byId("question-problem").textContent = visible(problem);
  byId("question-problem").hidden = !problem;
}

async function confirm() {
  const { key, happened, then } = current;
  const change = happened ? { key, result: byId("question-result").value } : { key, not_executed: true };
  byId("question-confirm").disabled = true;
  try {
    const answer = await fetch("/resolve", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(change),
    });
    if (answer.ok) {
      byId("question").close();
      say((await answer.json()).done);
      then();
    } else {
      refuse(answer.status === 409 ? (await answer.json()).problem : await answer.text());
    }
  } catch {
    refuse("The dashboard does not answer; it is not known whether this was recorded.");
  } finally {
    byId("question-confirm").disabled = false;
  }
}

function say(text) {
  byId("said").textContent = text;
  setTimeout(() => { byId("said").textContent = ""; }, 6000);
}

byId("question-confirm").addEventListener("click", confirm);
byId("question-cancel").addEventListener("click", () => byId("question").close());
byId("question").querySelector("form").addEventListener("submit", (event) => event.preventDefault());
