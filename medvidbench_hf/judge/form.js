"use strict";
// Ratings live in `state` and, under the form's own key, in localStorage; the CSV is made from them on demand.
// An answer is a score 1..5, "?" for not sure, or null. Texts reach the page by textContent alone.

const form = JSON.parse(document.getElementById("form").textContent);
const KEY = "medvidbench-form-" + form.id;
const SCORES = [1, 2, 3, 4, 5];
const WIDTH = form.dimensions.length;
const $ = (id) => document.getElementById(id);
const state = { rater: "", at: 0, answers: {} };  // answers: item -> one answer a dimension
let active = 0;  // the dimension that the keys rate
let kept = true;  // does localStorage work?

const item = () => form.items[state.at];
const answersOf = (name) => state.answers[name] ?? new Array(WIDTH).fill(null);
const isDone = (name) => answersOf(name).every((answer) => answer !== null);
const isBegun = (name) => answersOf(name).some((answer) => answer !== null);
const count = (test) => form.items.filter((one) => test(one.item)).length;

// --- keeping ----------------------------------------------------------------------------------------------------

function keep() {
  try {
    localStorage.setItem(KEY, JSON.stringify(state));
  } catch {
    kept = false;
  }
}

function recall() {
  let saved = null;
  try {
    saved = JSON.parse(localStorage.getItem(KEY));
  } catch {
    kept = false;
  }
  state.rater = typeof saved?.rater === "string" ? saved.rater : "";
  state.at = Number.isInteger(saved?.at) && form.items[saved.at] ? saved.at : 0;
  state.answers = {};
  for (const { item } of form.items) {
    const answers = saved?.answers?.[item];
    if (Array.isArray(answers) && answers.length === WIDTH)
      state.answers[item] = answers.map((answer) => (answer === "?" || SCORES.includes(answer) ? answer : null));
  }
}

// --- showing ----------------------------------------------------------------------------------------------------

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function build() {
  for (const rule of form.rules) $("rules").append(element("li", "", rule));
  form.items.forEach((one, k) => {
    const dot = element("button", "dot", k + 1);
    dot.onclick = () => go(k);
    $("dots").append(dot);
  });
  form.dimensions.forEach((dimension, k) => {
    const row = element("div", "dimension");
    const about = element("h3", "", dimension.about[0].toUpperCase() + dimension.about.slice(1));
    about.id = "about-" + dimension.name;
    row.setAttribute("role", "radiogroup");
    row.setAttribute("aria-labelledby", about.id);
    row.onclick = () => mark(k);
    row.append(about);
    for (const answer of [...SCORES, "?"]) {
      const button = element("button", answer === "?" ? "score unsure" : "score");
      button.setAttribute("role", "radio");
      button.dataset.answer = answer;
      button.append(element("b", "", answer), element("span", "", dimension.lines[answer - 1] ?? "not sure"));
      button.onclick = (event) => {
        event.stopPropagation();
        rate(k, answer);
      };
      row.append(button);
    }
    $("dimensions").append(row);
  });
}

function show() {
  const { item: name, task, reference, candidate } = item();
  const done = count(isDone);
  const open = form.items.length - done;
  $("reference").textContent = reference;
  $("candidate").textContent = candidate;
  $("place").textContent = `Item ${state.at + 1} of ${form.items.length}`;
  $("task").textContent = task.replaceAll("_", " ");
  $("progress").textContent = `${done} of ${form.items.length} items complete`;
  if ($("rater").value !== state.rater) $("rater").value = state.rater;
  $("save").disabled = !raterName() || count(isBegun) === 0;
  $("unrated").disabled = open === 0;
  $("previous").disabled = state.at === 0;
  $("next").disabled = state.at === form.items.length - 1;
  $("next").classList.toggle("ready", isDone(name));
  form.items.forEach((one, k) => {
    const dot = $("dots").children[k];
    dot.classList.toggle("done", isDone(one.item));
    dot.classList.toggle("begun", isBegun(one.item) && !isDone(one.item));
    dot.setAttribute("aria-current", k === state.at);
  });
  answersOf(name).forEach((answer, k) => {
    const row = $("dimensions").children[k];
    row.classList.toggle("active", k === active);
    for (const button of row.querySelectorAll(".score"))
      button.setAttribute("aria-checked", button.dataset.answer === String(answer));
  });
  if (!kept) say("This browser keeps nothing: download the CSV before you close the page.");
}

const say = (text) => ($("status").textContent = text);

// --- rating -----------------------------------------------------------------------------------------------------

function mark(dimension) {
  active = Math.max(0, Math.min(WIDTH - 1, dimension));
  show();
  $("dimensions").children[active].scrollIntoView({ block: "nearest" });
}

function rate(dimension, answer) {
  const answers = [...answersOf(item().item)];
  answers[dimension] = answer;
  state.answers[item().item] = answers;
  keep();
  if (!raterName()) say("Type your name or initials above: the CSV needs them.");
  else say(count(isDone) === form.items.length ? "All items are complete: download the CSV." : "");
  const open = [...answers.keys()].map((k) => (dimension + k) % WIDTH).find((k) => answers[k] === null);
  mark(open ?? dimension);
}

function enter() {
  active = Math.max(0, answersOf(item().item).indexOf(null));
  show();
}

function go(k) {
  if (!form.items[k]) return;
  state.at = k;
  keep();
  enter();
  document.querySelector("main").scrollIntoView();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("#rater")) return;
  const digit = /^[0-5]$/.test(event.key) ? event.key : /^Digit([0-5])$/.exec(event.code)?.[1];  // or a shifted row
  if (digit !== undefined) {
    if (!event.target.closest("main")) document.activeElement.blur();  // so that Enter then means the next item
    if (!event.repeat) rate(active, Number(digit) || "?");
  } else if (event.key === "ArrowUp") mark(active - 1);
  else if (event.key === "ArrowDown") mark(active + 1);
  else if (event.key === "ArrowLeft") go(state.at - 1);
  else if (event.key === "ArrowRight") go(state.at + 1);
  else if (event.key === "Enter" && !event.target.closest("header, footer, details")) go(state.at + 1);
  else return;
  event.preventDefault();
}

// --- CSV --------------------------------------------------------------------------------------------------------

// A spreadsheet would run a name that begins with one of =+-@.
const clean = (name) => name.replace(/\p{C}/gu, " ").replace(/^[\s=+\-@]+/, "").trim().replace(/\s+/g, " ");
const raterName = () => clean(state.rater);

function csv() {
  const quoted = (cell) => (/[",;\t]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  const rows = form.items
    .filter((one) => isBegun(one.item))
    .map((one) => [one.item, raterName(), "human", ...answersOf(one.item).map((answer) => (answer === "?" ? "" : answer ?? ""))]);
  return [form.columns, ...rows].map((row) => row.map(String).map(quoted).join(",") + "\r\n").join("");
}

function save() {
  const link = element("a", "");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = `ratings-${form.id}-${raterName().replace(/[^\p{L}\p{N}]+/gu, "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  const open = form.items.length - count(isDone);
  say(open ? `Downloaded. ${open} of ${form.items.length} items are not complete yet.` : "Downloaded, all items complete.");
}

function cells(text) {
  const header = text.replace(/^\ufeff?(sep=.*\r?\n)?/i, "");
  const comma = [",", ";", "\t"].sort((a, b) => header.split("\n")[0].split(b).length - header.split("\n")[0].split(a).length)[0];
  const rows = [[]];
  const cell = new RegExp(`("(?:[^"]|"")*"|[^${comma}\\r\\n]*)(${comma}|\\r?\\n|$)`, "y");
  while (cell.lastIndex < header.length) {
    const found = cell.exec(header);
    if (!found) return [];
    rows.at(-1).push((found[1][0] === '"' ? found[1].slice(1, -1).replaceAll('""', '"') : found[1]).trim());
    if (found[2] !== comma) rows.push([]);
  }
  return rows.filter((row) => row.some(Boolean));
}

function take(text) {
  const [header = [], ...rows] = cells(text);
  const columns = form.columns.map((name) => header.map((cell) => cell.toLowerCase()).indexOf(name));
  if (columns.includes(-1)) return "That is no CSV of ratings.";
  const known = new Set(form.items.map((one) => one.item));
  const ours = rows
    .map((row) => columns.map((k) => row[k] ?? ""))
    .filter(([name, , kind]) => known.has(name) && kind.toLowerCase() === "human");
  if (!ours.length) return "That file holds nobody's ratings of this form.";
  const raters = new Set(ours.map(([, rater]) => clean(rater)));
  if (raters.size > 1) return "That file holds the ratings of several people.";
  const [rater] = raters;
  if (raterName() && raterName() !== rater && count(isBegun))
    return `That file is ${rater}'s and this page holds ${raterName()}'s ratings. Download them and start again first.`;
  state.rater = rater;
  for (const [name, , , ...scores] of ours) {
    const answers = answersOf(name);
    state.answers[name] = scores.map((score, k) => {
      const value = Number(score.replace(",", "."));
      return SCORES.includes(value) ? value : answers[k];
    });
  }
  return `Opened: ${ours.length} items of ${rater}.`;
}

// --- start ------------------------------------------------------------------------------------------------------

build();
recall();
$("guide").open = count(isBegun) === 0;
enter();
document.addEventListener("keydown", onKey);
$("rater").oninput = () => {
  state.rater = $("rater").value;
  keep();
  show();
};
$("rater").onkeydown = (event) => {
  if (event.key === "Enter") $("rater").blur();
};
$("save").onclick = save;
$("open").onchange = async () => {
  const [file] = $("open").files;
  if (!file) return;
  const said = take(await file.text());
  $("open").value = "";
  keep();
  enter();
  say(said);
};
$("clear").onclick = () => {
  if (!confirm("Forget the name and all ratings on this page?")) return;
  Object.assign(state, { rater: "", at: 0, answers: {} });
  go(0);
  say("Nothing is rated now.");
};
$("previous").onclick = () => go(state.at - 1);
$("next").onclick = () => go(state.at + 1);
$("unrated").onclick = () => go(form.items.findIndex((one) => !isDone(one.item)));
window.addEventListener("storage", (event) => {
  if (event.key !== KEY) return;
  const { at } = state;  // another tab rates too: its answers count here, its place does not
  recall();
  state.at = at;
  show();
});
window.addEventListener("beforeunload", (event) => {
  if (!kept && count(isBegun)) event.preventDefault();
});
