// The shared worker: one hub, one connection, for all pages of one session in this browser.
'use strict';
(() => {
  const hub = new globalThis.aceso.Hub((address) => new EventSource(address));
  globalThis.onconnect = ({ ports: [port] }) => hub.add(port);
  setInterval(() => hub.tick(), 500);
})();
