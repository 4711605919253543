// What makes the pages live. Without it every link and form still works; nothing here decides anything.

const RETRY_MILLISECONDS = 5000;
const PAUSE_MILLISECONDS = 400;

const waiting = new Map();
const rollbacks = new Set();

nameTimeZone();
for (const chart of document.querySelectorAll("[data-chart]")) chart.tabIndex = 0;
for (const card of document.querySelectorAll(".alert")) place(card);
for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
for (const each of document.querySelectorAll("[data-rollback]")) rollbacks.add(each.dataset.rollback);
offerNotifications(document.querySelector("[data-notify]"));
follow(document.querySelector("[data-live]"));
preview(document.querySelector("form[data-preview]"));
document.addEventListener("click", onClick);
document.addEventListener("keydown", closeMenus);
document.addEventListener("keydown", readByKey);
document.addEventListener("pointermove", readByPointer);
document.addEventListener("pointerout", () => setTimeout(settle, 50));
document.addEventListener("focusout", () => setTimeout(settle, 50));

/** Tell the server where the reader is, so that it writes times by their clock from the next page on. */
function nameTimeZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  if (zone) document.cookie = `time_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

/** Keep the page true for as long as it is open. */
function follow(line) {
  if (!line) return;
  const state = line.querySelector(".live-state");
  let source;

  const show = (words, live) => {
    if (state.textContent !== words) state.textContent = words;
    line.classList.toggle("is-live", live);
    line.classList.toggle("is-lost", !live);
  };
  const open = () => {
    source = new EventSource(line.dataset.live);
    source.addEventListener("region", (event) => receive(JSON.parse(event.data)));
    source.addEventListener("asof", (event) => {
      const { at, text, title } = JSON.parse(event.data);
      const time = document.getElementById("as-of");
      time.dateTime = at;
      time.textContent = text;
      time.title = title;
      show(line.dataset.following, true);
    });
    source.addEventListener("stale", () => show(line.dataset.stale, false));
    source.addEventListener("end", (event) => {
      if (JSON.parse(event.data).because === "stopping") return again();
      source.close();
      show(line.dataset.signedOut, false);
    });
    source.addEventListener("error", () => {
      show(line.dataset.again, false);
      // The browser reconnects by itself after a broken line, but not after a refusal.
      if (source.readyState === EventSource.CLOSED) again();
    });
  };
  const again = () => {
    source.close();
    show(line.dataset.again, false);
    setTimeout(open, RETRY_MILLISECONDS);
  };
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && open());
  open();
}

/** While somebody writes a plan, show what it would change; the form follows the YAML and the YAML the form. */
function preview(form) {
  if (!form) return;
  let pause;
  let asked = 0;
  const ask = async () => {
    const number = ++asked;
    const body = new FormData(form);
    body.set("do", "preview");
    let answer;
    try {
      answer = await fetch(form.action, { method: "POST", body });
    } catch {
      return;
    }
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // Whoever wrote on meanwhile asks again.
    if (number === asked) fill(page);
  };
  const fill = (page) => {
    const inText = document.activeElement.id === "text";
    const inFields = document.activeElement.closest("#plan-fields") !== null;
    for (const id of ["plan-templates", "plan-base", "plan-outcome", ...(inFields ? [] : ["plan-fields"])]) {
      const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
      if (!old || !fresh) continue;
      const open = new Set([...old.querySelectorAll("details[open]")].map((details) => details.id));
      for (const details of fresh.querySelectorAll("details[id]")) details.open ||= open.has(details.id);
      if (old.innerHTML !== fresh.innerHTML) old.innerHTML = fresh.innerHTML;
    }
    const [text, answered] = [document.getElementById("text"), page.getElementById("text").value];
    if (text.value === answered) return;
    // Also for whoever has just come into the YAML: what they changed in the form is in the answer alone.
    const { selectionStart, selectionEnd } = text;
    text.value = answered;
    if (inText) text.setSelectionRange(selectionStart, selectionEnd);
  };
  const soon = () => {
    asked += 1;
    clearTimeout(pause);
    pause = setTimeout(ask, PAUSE_MILLISECONDS);
  };
  form.addEventListener("input", (event) => event.target.name !== "reason" && event.target.name !== "confirm" && soon());
}

/** Put new content in its place, or keep it until nobody is about to click or type there. */
function receive(news) {
  const region = document.getElementById(news.id);
  if (!region) return;
  waiting.delete(news.id);
  if (region.dataset.mark === news.mark) return;
  if (busy(region)) waiting.set(news.id, news);
  else swap(region, news);
}

function settle() {
  for (const [id, news] of waiting) {
    const region = document.getElementById(id);
    if (region && busy(region)) continue;
    waiting.delete(id);
    if (region) swap(region, news);
  }
}

/** Regions without controls can't be misclicked and never wait. */
function busy(region) {
  if ("urgent" in region.dataset) return false;
  const written = [...region.querySelectorAll("textarea, input:not([type=hidden])")].some(
    (field) => field.value !== field.defaultValue,
  );
  return written || region.matches(":hover, :focus-within") || region.querySelector("dialog[open]") !== null;
}

function swap(region, { html, mark }) {
  const version = region.querySelector("[data-version]")?.dataset.version;
  const open = new Set([...region.querySelectorAll("details[open][id]")].map((details) => details.id));
  region.innerHTML = html;
  region.dataset.mark = mark;
  for (const details of region.querySelectorAll("details[id]")) details.open = open.has(details.id);
  place(region);
  tell(region);
  announce(region.querySelector("[data-version]"), version);
}

/** Let the browser tell of a rollback while the page is behind others; only if somebody asks for it. */
function offerNotifications(button) {
  if (!button || !("Notification" in window)) return;
  button.hidden = Notification.permission !== "default";
  button.addEventListener("click", async () => {
    button.hidden = (await Notification.requestPermission()) !== "default";
    if (Notification.permission === "granted") document.getElementById("announcement").textContent = button.dataset.on;
  });
}

/** A rollback that was not there when the page was opened. */
function tell(region) {
  for (const each of region.querySelectorAll("[data-rollback]")) {
    const { rollback, title, sentence } = each.dataset;
    if (rollbacks.has(rollback)) continue;
    rollbacks.add(rollback);
    if (!document.hidden || !("Notification" in window) || Notification.permission !== "granted") continue;
    try {
      // The same tag in every page that is open: it is told once.
      new Notification(title, { body: sentence, tag: rollback });
    } catch {
      // A telephone's browser lets only a service worker do this, and there is none.
    }
  }
}

/** What needs attention comes first, as it would after a reload; charts can be read by keys. */
function place(region) {
  for (const chart of region.querySelectorAll("[data-chart]")) chart.tabIndex = 0;
  const order = region.querySelector("[data-order]")?.dataset.order;
  if (order !== undefined) region.style.order = order;
}

/** Tell those who can't see it that the rollout changed; that time passes is not worth their attention. */
function announce(state, version) {
  if (!state || state.dataset.version === version) return;
  document.getElementById("announcement").textContent = state.innerText;
  if (state.dataset.title) document.title = state.dataset.title;
  const icon = state.dataset.icon;
  if (icon) document.querySelector("link[rel=icon]").href = icon;
}

/** Rows of the table of a chart, which are its readings. */
function readings(chart) {
  return [...document.querySelectorAll(`#${chart.dataset.chart} tbody tr`)];
}

function readByPointer(event) {
  const chart = event.target.closest("[data-chart]");
  for (const other of document.querySelectorAll("[data-chart].is-read")) if (other !== chart) read(other, undefined);
  if (!chart) return;
  const { left, right, from, to } = chart.querySelector("svg").dataset;
  const box = chart.querySelector("svg").getBoundingClientRect();
  const part = ((event.clientX - box.left) / box.width - left) / (right - left);
  const at = Number(from) + part * (to - from);
  const distance = (row) => Math.abs(row.dataset.at - at);
  read(chart, readings(chart).reduce((best, row) => (distance(row) < distance(best) ? row : best)));
}

function readByKey(event) {
  const chart = event.target.closest("[data-chart]");
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!chart || !step) return;
  event.preventDefault();
  const rows = readings(chart);
  const now = rows.findIndex((row) => row.dataset.at === chart.dataset.read);
  read(chart, rows[now < 0 ? rows.length - 1 : Math.min(Math.max(now + step, 0), rows.length - 1)]);
  document.getElementById("announcement").textContent = chart.querySelector(".reading").textContent;
}

/** Show one row of a chart's table in the chart, or none. */
function read(chart, row) {
  const [line, words] = [chart.querySelector(".reader"), chart.querySelector(".reading")];
  const svg = chart.querySelector("svg");
  chart.classList.toggle("is-read", Boolean(row));
  line.toggleAttribute("hidden", !row);
  words.hidden = !row;
  delete chart.dataset.read;
  if (!row) return;
  chart.dataset.read = row.dataset.at;
  const { left, right, from, to } = svg.dataset;
  const part = (row.dataset.at - from) / (to - from || 1);
  const x = svg.viewBox.baseVal.width * (Number(left) + part * (right - left));
  for (const end of ["x1", "x2"]) line.setAttribute(end, x);
  const [clock, ...names] = [...row.closest("table").querySelectorAll("thead th")].map((cell) => cell.textContent);
  const values = [...row.querySelectorAll("td")].map((cell, index) => `${names[index]} ${cell.textContent}`);
  words.textContent = `${row.querySelector("th").textContent} ${clock}: ${values.join(", ")}`;
}

function onClick(event) {
  const opener = event.target.closest("[data-dialog]");
  const dialog = opener && document.getElementById(`dialog-${opener.dataset.dialog}`);
  if (dialog && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    dialog.showModal();
  }
  const copier = event.target.closest("[data-copy]");
  if (copier) copy(copier, document.getElementById(copier.dataset.copy));
  event.target.closest("[data-close]")?.closest("dialog").close();
  for (const menu of document.querySelectorAll(".menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
}

/** Copy what a field or a listing holds; where the browser refuses, as over plain HTTP, select it for Ctrl-C. */
async function copy(button, source) {
  const label = button.firstChild;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    label.textContent = button.dataset.copied;
  } catch {
    if (source.select) source.select();
    else getSelection().selectAllChildren(source);
    label.textContent = document.execCommand("copy") ? button.dataset.copied : button.dataset.refused;
  }
  document.getElementById("announcement").textContent = label.textContent;
}

function closeMenus(event) {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll(".menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
}
