// Passkeys: fills a form with what the browser's authenticator says, and sends it like any other form. Without this
// script, or in a browser without passkeys, the form stays hidden.
'use strict';
(() => {
  const forms = [...document.querySelectorAll('form[data-passkey]')];
  if (!forms.length || !window.PublicKeyCredential || !navigator.credentials) {
    document.querySelectorAll('[data-passkey-none]').forEach((node) => { node.hidden = false; });
    return;
  }
  // The server takes a challenge for five minutes.
  const FRESH_MS = 4 * 60_000;
  const loaded = performance.now();
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const words = (list) => list.split(' ').filter((one) => one);

  // A page that was open for long asks for a new challenge: it stands in the same page.
  const renew = async (form) => {
    if (performance.now() - loaded < FRESH_MS) return;
    const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const fresh = page.querySelector(`form[data-passkey="${form.dataset.passkey}"]`);
    if (!fresh) { location.reload(); return; }
    form.dataset.challenge = fresh.dataset.challenge;
    form.elements.issued.value = fresh.elements.issued.value;
  };

  const create = async (form) => {
    const { challenge, rp, user, shown, person, algorithms, known } = form.dataset;
    const made = await navigator.credentials.create({
      publicKey: {
        challenge: bytes(challenge),
        rp: { id: rp, name: shown },
        user: { id: bytes(user), name: shown, displayName: person },
        pubKeyCredParams: words(algorithms).map((alg) => ({ type: 'public-key', alg: Number(alg) })),
        excludeCredentials: words(known).map((id) => ({ type: 'public-key', id: bytes(id) })),
        authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
        attestation: 'none',
      },
    });
    form.elements.client_data.value = text(made.response.clientDataJSON);
    form.elements.authenticator_data.value = text(made.response.getAuthenticatorData());
  };

  const get = async (form) => {
    const { challenge, rp } = form.dataset;
    const used = await navigator.credentials.get({
      publicKey: { challenge: bytes(challenge), rpId: rp, userVerification: 'required' },
    });
    form.elements.id.value = text(used.rawId);
    form.elements.handle.value = text(used.response.userHandle ?? new ArrayBuffer(0));
    form.elements.client_data.value = text(used.response.clientDataJSON);
    form.elements.authenticator_data.value = text(used.response.authenticatorData);
    form.elements.signature.value = text(used.response.signature);
  };

  const why = (error) => ({
    NotAllowedError: 'No passkey was used: it was cancelled, or took too long.',
    InvalidStateError: 'This device has a passkey for this account already.',
    NotSupportedError: 'This device cannot make a passkey of a kind that this site takes.',
    SecurityError: 'Passkeys do not work under this address.',
  }[error.name] ?? 'The passkey could not be used. Try again, or sign in another way.');

  for (const form of forms) {
    const problem = form.querySelector('[data-passkey-problem]');
    form.hidden = false;
    document.querySelectorAll('[data-passkey-with]').forEach((node) => { node.hidden = false; });
    document.querySelectorAll('[data-passkey-second]').forEach((node) => { node.classList.remove('primary'); });
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const button = form.querySelector('button[type=submit]');
      if (button.disabled) return;
      button.disabled = true;
      problem.hidden = true;
      try {
        await renew(form);
        await (form.dataset.passkey === 'create' ? create : get)(form);
        form.submit();
      } catch (error) {
        problem.querySelector('b').textContent = why(error);
        problem.hidden = false;
        button.disabled = false;
        button.focus();
      }
    });
  }
  // A page that comes back from the browser's memory has a button again.
  addEventListener('pageshow', (event) => {
    if (event.persisted) forms.forEach((form) => { form.querySelector('button[type=submit]').disabled = false; });
  });
})();
