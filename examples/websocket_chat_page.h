/* SPDX-License-Identifier: MIT
 *
 * The page of websocket_chat, so that the program is all there is to it.
 * It is in pieces, since compilers need not take longer strings.
 */
#ifndef JUGGLE_EXAMPLES_WEBSOCKET_CHAT_PAGE_H
#define JUGGLE_EXAMPLES_WEBSOCKET_CHAT_PAGE_H

#include <juggle/text.h>

/* clang-format off */
static const char page_style[] =
    "<!doctype html>\n"
    "<html lang='en'>\n"
    "<meta charset='utf-8'>\n"
    "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
    "<title>juggle chat</title>\n"
    "<link rel='icon' href='data:,'>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --ink: #1b1f24; --soft: #59636e;\n"
    "  --line: #c5ccd4; --accent: #0a62c4; --on-accent: #fff; }\n"
    "@media (prefers-color-scheme: dark) { :root { --ground: #0e1116; --card: #171b22; --ink: #e8ebef;\n"
    "  --soft: #9aa4af; --line: #3a434f; --accent: #6cb0ff; --on-accent: #06203d; } }\n"
    "* { box-sizing: border-box; }\n"
    "body { margin: 0 auto; max-width: 44rem; height: 100vh; height: 100dvh; padding: 1rem; display: flex;\n"
    "  flex-direction: column; gap: .75rem; background: var(--ground); color: var(--ink);\n"
    "  font: 1rem/1.5 system-ui, sans-serif; }\n"
    "header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }\n"
    "h1 { font-size: 1.3rem; margin: 0; }\n"
    "#state { color: var(--soft); }\n"
    "form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: 0; }\n"
    "label { display: flex; flex-direction: column; flex: 1 1 9rem; font-size: .85rem; color: var(--soft); }\n"
    "input { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line);\n"
    "  border-radius: .5rem; padding: .45rem .7rem; min-height: 2.75rem; min-width: 0; width: 100%; }\n"
    "button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: .4rem 1.1rem; border: 0;\n"
    "  border-radius: .5rem; background: var(--accent); color: var(--on-accent); cursor: pointer; }\n"
    "button:disabled, input:disabled { opacity: .55; }\n"
    ":focus-visible { outline: 3px solid #d9822b; outline-offset: 2px; }\n"
    "#log { flex: 1; min-height: 8rem; overflow-y: auto; margin: 0; padding: .75rem; background: var(--card);\n"
    "  border: 1px solid var(--line); border-radius: .75rem; }\n"
    "#log p { margin: 0 0 .35rem; overflow-wrap: anywhere; white-space: pre-wrap; }\n"
    "#log .note { color: var(--soft); font-style: italic; }\n"
    "</style>\n";

static const char page_body[] =
    "<header><h1>juggle chat</h1><span id='state' role='status'>not in a room</span></header>\n"
    "<form id='entry'>\n"
    "  <label>Your name<input id='name' required maxlength='20' autocomplete='nickname'></label>\n"
    "  <label>Room<input id='room' required maxlength='40' value='lobby'></label>\n"
    "  <button id='enter'>Enter</button>\n"
    "</form>\n"
    "<div id='log' role='log' aria-label='what is said' tabindex='0'></div>\n"
    "<form id='line'>\n"
    "  <label>What you say<input id='text' maxlength='1000' autocomplete='off' disabled></label>\n"
    "  <button id='send' disabled>Say it</button>\n"
    "</form>\n";

static const char page_script[] =
    "<script>\n"
    "'use strict';\n"
    "const $ = id => document.getElementById(id);\n"
    "let socket = null;\n"
    "\n"
    "function add(name, text) {\n"
    "  const p = document.createElement('p'), log = $('log');\n"
    "  const at_end = log.scrollHeight - log.scrollTop - log.clientHeight < 40;\n"
    "  if (name) {\n"
    "    const b = document.createElement('b');\n"
    "    b.textContent = name + ': ';\n"
    "    p.append(b);\n"
    "  } else p.className = 'note';\n"
    "  p.append(text);\n"
    "  log.append(p);\n"
    "  while (log.childElementCount > 500) log.firstChild.remove();\n"
    "  if (at_end) log.scrollTop = log.scrollHeight;\n"
    "}\n"
    "\n"
    "function enable(on) {\n"
    "  $('text').disabled = $('send').disabled = !on;\n"
    "  if (on) $('text').focus();\n"
    "}\n"
    "\n"
    "$('entry').onsubmit = event => {\n"
    "  event.preventDefault();\n"
    "  if (socket) socket.close(1000, 'another room');\n"
    "  const room = $('room').value, opened = new WebSocket(location.origin.replace('http', 'ws') + '/rooms/' +\n"
    "    encodeURIComponent(room) + '?name=' + encodeURIComponent($('name').value));\n"
    "  socket = opened;\n"
    "  $('state').textContent = 'connecting';\n"
    "  opened.onopen = () => { $('state').textContent = 'in ' + room; enable(true); };\n"
    "  opened.onmessage = event => {\n"
    "    const at = event.data.indexOf('\\n');\n"
    "    add(event.data.slice(0, at), event.data.slice(at + 1));\n"
    "  };\n"
    "  opened.onclose = event => {\n"
    "    if (socket !== opened) return;\n"
    "    socket = null;\n"
    "    $('state').textContent = 'closed: ' + event.code + (event.reason ? ', ' + event.reason : '');\n"
    "    enable(false);\n"
    "  };\n"
    "};\n"
    "\n"
    "$('line').onsubmit = event => {\n"
    "  event.preventDefault();\n"
    "  if (socket && socket.readyState === 1 && $('text').value) socket.send($('text').value);\n"
    "  $('text').value = '';\n"
    "};\n"
    "</script>\n"
    "</html>\n";

/* clang-format on */

static const jg_text page[] = {
    {page_style, sizeof page_style - 1},
    {page_body, sizeof page_body - 1},
    {page_script, sizeof page_script - 1},
};

#endif
