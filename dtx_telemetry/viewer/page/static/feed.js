// Asks the server for news. Each question is over at once, so all pages of a browser share its few connections; one that is
// not seen asks nothing.

// Milliseconds from one question to the next, and of rest after an answer at least.
const RHYTHM = 250, LEAST = 50, REST_AFTER_FAILURE = 1000;

export class Feed {
  #onNews; #onWrong; #onConnected;
  // The id of the life that is shown.
  opened = "";
  #filter = ""; #run = ""; #version = 0; #round = 0; #wake = () => {};

  constructor({onNews, onWrong, onConnected}) {
    this.#onNews = onNews;
    this.#onWrong = onWrong;
    this.#onConnected = onConnected;
    document.addEventListener("visibilitychange", () => this.#wake());
  }

  set filter(filter) {
    if (filter === this.#filter) return;
    this.#filter = filter;
    this.#version = 0;
    this.#round += 1;
    this.#wake();
  }

  async start() {
    for (;;) {
      const rest = document.hidden ? Infinity : await this.#ask();
      if (rest > 0) await this.#sleep(rest);
    }
  }

  // Ask once, and return for how long to rest.
  async #ask() {
    const round = this.#round, begin = performance.now();
    const query = new URLSearchParams({run: this.#run, version: this.#version, filter: this.#filter, id: this.opened});
    const answer = await fetch(`/rows?${query}`).catch(() => null);
    if (answer?.status === 400) {
      const said = await answer.text();
      if (round !== this.#round) return 0;
      this.#onConnected(true);
      this.#onWrong(said);
      return Infinity;  // until there is another filter
    }
    const news = answer?.ok ? await answer.json().catch(() => null) : null;
    this.#onConnected(news !== null);
    if (round !== this.#round) return 0;
    if (news === null) return REST_AFTER_FAILURE;
    this.#run = news.run;
    this.#version = news.version;
    this.#onNews(news);
    return Math.max(begin + RHYTHM - performance.now(), LEAST);
  }

  #sleep(milliseconds) {
    return new Promise(resolve => {
      this.#wake = resolve;
      if (milliseconds < Infinity) setTimeout(resolve, milliseconds);
    });
  }
}
