// Who is here: the presence of all carts, as presence_state and presence_diff tell it. A
// shopper's metas are the tabs, each with its page and the items of the cart.

export class Audience {
  known = false; // presence_state has come
  #carts = new Map(); // by cart id: metas

  begin(state) {
    this.#carts.clear();
    this.known = true;
    this.apply({ joins: state, leaves: {} });
  }

  // apply takes over a change. It reports whether it could: before presence_state it cannot,
  // and the change is in the state that comes.
  apply({ joins, leaves }) {
    if (!this.known) return false;
    for (const [id, { metas }] of Object.entries(joins)) this.#carts.set(id, [...this.#without(id, metas), ...metas]);
    for (const [id, { metas }] of Object.entries(leaves)) {
      const left = this.#without(id, metas);
      if (left.length) this.#carts.set(id, left);
      else this.#carts.delete(id);
    }
    return true;
  }

  #without(id, metas) {
    const refs = new Set(metas.map((m) => m.phx_ref));
    return (this.#carts.get(id) ?? []).filter((m) => !refs.has(m.phx_ref));
  }

  count() {
    const pages = new Map(), items = new Map();
    const more = (counts, key) => counts.set(key, (counts.get(key) ?? 0) + 1);
    let tabs = 0, inCarts = 0;
    for (const metas of this.#carts.values()) {
      tabs += metas.length;
      for (const { page } of metas) more(pages, page);
      const cart = metas.at(-1).items; // all tabs have the same
      inCarts += cart.length;
      for (const id of cart) more(items, String(id));
    }
    return { shoppers: this.#carts.size, tabs, inCarts, pages, items };
  }
}
