// The news of one auction over a WebSocket that comes back by itself.

// Pauses before coming back, in milliseconds: doubled with each failure, and each a little
// different, so that not everybody comes at once.
const PAUSE_FIRST = 500;
const PAUSE_MAX = 15_000;

/**
 * Listens to an auction. `after` gives the last bid that is known, `told` gets each message, and
 * `lost` is called when the connection is gone. Gives a function that ends it.
 */
export function listen(id, { after, told, lost }) {
  let socket = null;
  let pause = PAUSE_FIRST;
  let timer = 0;
  let over = false;

  function connect() {
    clearTimeout(timer);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const known = after();
    const query = known === undefined ? "" : `?after=${known}`;
    socket = new WebSocket(`${scheme}//${location.host}/api/v1/auctions/${id}/live${query}`);
    socket.onmessage = ({ data }) => {
      pause = PAUSE_FIRST;
      told(JSON.parse(data));
    };
    socket.onclose = () => {
      if (over) return;
      lost();
      timer = setTimeout(connect, pause * (0.5 + Math.random()));
      pause = Math.min(PAUSE_MAX, pause * 2);
    };
  }

  // Whoever is back online, or back at the page, need not wait.
  const hurry = () => {
    if (!over && !document.hidden && socket.readyState === WebSocket.CLOSED) connect();
  };
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  connect();
  return () => {
    over = true;
    clearTimeout(timer);
    socket.close();
    removeEventListener("online", hurry);
    document.removeEventListener("visibilitychange", hurry);
  };
}
