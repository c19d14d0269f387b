/** As much of the DevTools protocol of Chromium as it takes to control one page. Runs on Deno. */

/** A page. */
export class DevTools {
  #socket;
  #session;
  #lastId = 0;
  #calls = new Map();
  #listeners = new Map();

  constructor(socket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
  }

  /** Opens an empty page in the browser that is controlled at `url`. */
  static async openPage(url) {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = ({ message }) => reject(new Error(message));
    });
    const page = new DevTools(socket);
    const { targetId } = await page.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await page.send("Target.attachToTarget", { targetId, flatten: true });
    page.#session = sessionId;
    return page;
  }

  /** Calls a method; resolves to its result. */
  send(method, params = {}) {
    const id = ++this.#lastId;
    const call = Promise.withResolvers();
    this.#calls.set(id, call);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }));
    return call.promise;
  }

  /** Has `listener` called with what each event of one kind says. */
  on(method, listener) {
    this.#listeners.set(method, listener);
  }

  /** Runs a script, and waits for the promise that it makes, if it does. */
  async evaluate(expression) {
    const { exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
  }

  #receive({ id, method, params, result, error }) {
    if (id === undefined) return this.#listeners.get(method)?.(params);
    const { resolve, reject } = this.#calls.get(id);
    this.#calls.delete(id);
    if (error) reject(new Error(error.message));
    else resolve(result);
  }
}
