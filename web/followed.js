// Something that is followed as long as anybody listens, and a little longer: a page that changes its view, or a framework
// that takes a component away and puts it back, wants it again at once.

const LINGER = 1_000; // milliseconds

export class Followed {
  /**
   * @param {object} view what is shown of it; never changed, another one takes its place
   * @param {() => void} end called once nobody has listened for a while
   */
  constructor(view, end) {
    this.view = view;
    this.end = end;
    this.listeners = new Set();
    this.timer = 0;
  }

  /** Tells of every change until what is returned is called. */
  listen(listener) {
    clearTimeout(this.timer);
    const listening = { listener };
    this.listeners.add(listening);
    return () => {
      if (!this.listeners.delete(listening) || this.listeners.size) return;
      this.timer = setTimeout(this.end, LINGER);
    };
  }

  /** Shows something else than before. `told` goes to those who listen. */
  show(changes, told = null) {
    this.view = Object.freeze({ ...this.view, ...changes });
    for (const { listener } of [...this.listeners]) listener(told);
  }
}
