/* SPDX-License-Identifier: MIT
 *
 * WebSockets as their two modules see them: websocket_open.c agrees on one, websocket.c has what
 * happens then.
 */
#ifndef JG_HTTP_WEBSOCKET_H
#define JG_HTTP_WEBSOCKET_H

#include <juggle/websocket.h>

/* Begin, on a stream that both sides have agreed on. */
void jg__websocket_begin(jg_websocket *ws, jg_stream *stream, bool client, const char *protocol,
                         const jg_websocket_options *options);

#endif
