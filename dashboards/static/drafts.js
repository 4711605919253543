// What was written into a form that did not arrive: back after the next sign-in where the session had ended, and by the
// browser's own button where no server answered. Whatever page comes first after an answer forgets it.

const KEY = "draft";
const UNKEPT = new Set(["button", "file", "password", "submit"]);
const ABOUT = new Set(["account", "form", "user"]);

const kept = JSON.parse(sessionStorage.getItem(KEY));
if (new URLSearchParams(location.search).has("unsent")) {
  sessionStorage.setItem(KEY, JSON.stringify({ ...kept, lost: true }));
} else if (!location.pathname.startsWith("/sign-in")) {
  sessionStorage.removeItem(KEY);
  const [{ type }] = performance.getEntriesByType("navigation");
  if (kept?.page === location.pathname && (kept.lost || type === "back_forward")) restore(kept);
}
document.addEventListener("submit", keep);

function keep({ target: form }) {
  if (form.method !== "post" || location.pathname.startsWith("/sign-in")) return;
  const fields = [...form.elements].filter(({ name, type }) => name && !UNKEPT.has(type));
  const written = fields.map(({ name, type, value, checked }) => ({ name, type, value, checked }));
  sessionStorage.setItem(KEY, JSON.stringify({ page: location.pathname, action: form.action, written }));
}

function restore({ action, written }) {
  const form = [...document.forms].find((each) => each.action === action && isSame(each, written));
  if (!form) return;
  for (const { name, type, value, checked } of written) {
    const fields = [...form.elements].filter((each) => each.name === name);
    if (type === "checkbox" || type === "radio") fields.filter((each) => each.value === value).forEach((each) => (each.checked = checked));
    else if (fields.length === 1) fields[0].value = value;
  }
  form.closest("dialog")?.showModal();
  for (let each = form.closest("details"); each; each = each.parentElement.closest("details")) each.open = true;
  tell(form);
}

// Of forms that lead to one address, as those of the rows of a list, the one about the same thing.
function isSame(form, written) {
  const about = written.filter(({ name, type }) => type === "hidden" && ABOUT.has(name));
  return about.every(({ name, value }) => form.elements[name]?.value === value);
}

function tell(form) {
  const note = document.createElement("p");
  note.className = "consequence";
  note.textContent = document.getElementById("announcement").dataset.draft;
  note.setAttribute("role", "status");
  form.prepend(note);
  note.scrollIntoView({ block: "nearest" });
}
