// What the long polling of phoenix 1.6 and 1.7 finds in browsers and not in
// Node. It has to be there before they are loaded.
import XMLHttpRequest from "xhr2";

globalThis.self = globalThis;
globalThis.XMLHttpRequest = XMLHttpRequest;
