// Forms with `data-passkey` ask the browser for a passkey before they are sent: they make one, or let one sign.
// Browsers that can't, and pages without JavaScript, never show them.

const able = Boolean(globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON);

async function credentialFor(form) {
  const response = await fetch(form.dataset.passkey, { method: "POST", headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error((await response.json()).detail);
  const options = await response.json();
  const made = "makes" in form.dataset
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  return JSON.stringify(made.toJSON());
}

async function send(event) {
  const form = event.currentTarget;
  if (form.elements.credential.value) return;
  event.preventDefault();
  const refusal = form.querySelector("[data-refusal]");
  refusal.hidden = true;
  try {
    form.elements.credential.value = await credentialFor(form);
  } catch (error) {
    // NotAllowedError: somebody closed the browser's dialog, or no device here has a passkey of this site.
    refusal.textContent = error instanceof DOMException ? refusal.dataset.refusal : error.message;
    refusal.hidden = false;
    return;
  }
  form.submit();
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.hidden = !able;
  form.addEventListener("submit", send);
}
