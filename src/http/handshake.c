/* SPDX-License-Identifier: MIT
 *
 * The opening handshake of WebSocket.
 */
#include "http/handshake.h"

#include <juggle/http_field.h>

#include "http/chars.h"

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

/* FIPS 180-4 6.1.2, for a block of 64 bytes. */
static void sha1_block(uint32_t state[5], const uint8_t block[64])
{
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    size_t i;

    for (i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? (b & c) | (~b & d)
                     : i < 40 ? b ^ c ^ d
                     : i < 60 ? (b & c) | (b & d) | (c & d)
                              : b ^ c ^ d;
        uint32_t next = rotate(a, 5) + f + e + constants[i / 20] + w[i];

        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void jg__sha1(const void *data, size_t size, uint8_t ret_digest[20])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const uint8_t *bytes = data;
    uint8_t tail[128] = {0};
    uint64_t bits = (uint64_t)size * 8;
    size_t whole = size / 64 * 64, left = size - whole, padded = left < 56 ? 64 : 128, i;

    for (i = 0; i < whole; i += 64)
        sha1_block(state, bytes + i);
    if (left > 0)
        memcpy(tail, bytes + whole, left);
    tail[left] = 0x80;
    for (i = 0; i < 8; i++)
        tail[padded - 1 - i] = (uint8_t)(bits >> (8 * i));
    for (i = 0; i < padded; i += 64)
        sha1_block(state, tail + i);
    for (i = 0; i < 20; i++)
        ret_digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void jg__base64(const uint8_t *data, size_t size, char *text)
{
    size_t i;

    for (i = 0; i < size; i += 3) {
        uint32_t bits = (uint32_t)data[i] << 16;

        if (i + 1 < size)
            bits |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < size)
            bits |= data[i + 2];
        *text++ = base64[bits >> 18];
        *text++ = base64[bits >> 12 & 63];
        *text++ = i + 1 < size ? base64[bits >> 6 & 63] : '=';
        *text++ = i + 2 < size ? base64[bits & 63] : '=';
    }
    *text = '\0';
}

void jg__websocket_key(const uint8_t random[16], char ret_key[JG__WEBSOCKET_KEY_SIZE])
{
    jg__base64(random, 16, ret_key);
}

/* RFC 6455 4.2.2: the base64 of the SHA-1 of the key and a constant. */
static void accept_of(const char *key, char accept[JG__WEBSOCKET_ACCEPT_SIZE])
{
    static const char constant[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[24 + sizeof(constant) - 1];
    uint8_t digest[20];

    memcpy(joined, key, 24);
    memcpy(joined + 24, constant, sizeof(constant) - 1);
    jg__sha1(joined, sizeof(joined), digest);
    jg__base64(digest, sizeof(digest), accept);
}

/* The base64 of 16 bytes: 22 digits, of which the last has four bits of zero, and "==". */
static bool is_key(jg_text key)
{
    size_t i;

    if (key.size != 24 || key.data[22] != '=' || key.data[23] != '=')
        return false;
    for (i = 0; i < 22; i++) {
        if (key.data[i] == '\0' || strchr(base64, key.data[i]) == NULL)
            return false;
    }
    return strchr("AQgw", key.data[21]) != NULL;
}

static bool upgrades_to_websocket(const jg_http_head *head)
{
    return (head->flags & JG_HTTP_WANTS_UPGRADE) != 0 &&
           jg_http_list_has(jg_http_head_value(head, JG_HTTP_UPGRADE), "websocket");
}

int jg__websocket_request(const jg_http_head *head, char ret_accept[JG__WEBSOCKET_ACCEPT_SIZE])
{
    jg_text key = jg_http_head_value(head, JG_HTTP_SEC_WEBSOCKET_KEY);

    if (head->method != JG_HTTP_GET || head->framing != JG_HTTP_NO_BODY ||
        !upgrades_to_websocket(head))
        return 400;
    if (!jg_text_is(jg_http_head_value(head, JG_HTTP_SEC_WEBSOCKET_VERSION), "13"))
        return 426;
    if (key.data == NULL || !is_key(key))
        return 400;
    accept_of(key.data, ret_accept);
    return 0;
}

bool jg__websocket_response(const jg_http_head *head, const char *key)
{
    char accept[JG__WEBSOCKET_ACCEPT_SIZE];

    accept_of(key, accept);
    return head->status == 101 && upgrades_to_websocket(head) &&
           jg_text_is(jg_http_head_value(head, JG_HTTP_SEC_WEBSOCKET_ACCEPT), accept);
}
