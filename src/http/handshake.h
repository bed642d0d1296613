/* SPDX-License-Identifier: MIT
 *
 * The opening handshake of WebSocket, RFC 6455 4, and what it needs: SHA-1 and base64. SHA-1 is no
 * secret's keeper here; it only shows that the server knows the protocol.
 */
#ifndef JG_HTTP_HANDSHAKE_H
#define JG_HTTP_HANDSHAKE_H

#include <juggle/http_parser.h>

/* Room for Sec-WebSocket-Key and Sec-WebSocket-Accept, with a NUL. */
enum { JG__WEBSOCKET_KEY_SIZE = 25, JG__WEBSOCKET_ACCEPT_SIZE = 29 };

/* Whether a request opens a WebSocket: 0 and the value of Sec-WebSocket-Accept; else the status to
   answer with: 400, or 426 for another version, with Sec-WebSocket-Version: 13 in the answer. */
int jg__websocket_request(const jg_http_head *head, char ret_accept[JG__WEBSOCKET_ACCEPT_SIZE]);

/* Whether a response opens the WebSocket that was asked for with this key. */
bool jg__websocket_response(const jg_http_head *head, const char *key);

/* A key of 16 random bytes. */
void jg__websocket_key(const uint8_t random[16], char ret_key[JG__WEBSOCKET_KEY_SIZE]);

void jg__sha1(const void *data, size_t size, uint8_t ret_digest[20]);

/* Encode; `text` has room for four bytes for each three, rounded up, and a NUL. */
void jg__base64(const uint8_t *data, size_t size, char *text);

#endif
