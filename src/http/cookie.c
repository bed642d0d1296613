/* SPDX-License-Identifier: MIT
 *
 * Cookies, RFC 6265. What is written is what its grammar allows; what is read is a little more, as
 * user agents send what servers have set.
 */
#include <juggle/http_field.h>

#include "http/chars.h"
#include "http/output.h"

#include <errno.h>

bool jg_http_cookie_next(jg_text *rest, jg_text *ret_name, jg_text *ret_value)
{
    jg_text pair, name, value;

    while (jg__cut(rest, ';', &pair)) {
        value = jg__trim(pair);
        if (!jg__cut(&value, '=', &name) || value.data == NULL)
            continue;
        name = jg__trim(name);
        value = jg__trim(value);
        if (!jg__all(name, JG__TOKEN))
            continue;
        if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
            value = jg_text_of(value.data + 1, value.size - 2);
        *ret_name = name;
        *ret_value = value;
        return true;
    }
    return false;
}

/* RFC 6265 4.1.1: what an attribute may have, any character but controls and ";". */
static bool is_attribute(const char *value)
{
    for (; *value != '\0'; value++) {
        if (!jg__is(*value, JG__VALUE) || *value == ';' || *value == '\t' || (*value & 0x80) != 0)
            return false;
    }
    return true;
}

static bool is_valid(const jg_http_cookie *cookie)
{
    jg_text value = jg_text_from(cookie->value);

    if (cookie->name == NULL || !jg__all(jg_text_from(cookie->name), JG__TOKEN))
        return false;
    if (value.size > 0 && !jg__all(value, JG__COOKIE))
        return false;
    if (cookie->path != NULL && (cookie->path[0] != '/' || !is_attribute(cookie->path)))
        return false;
    return cookie->domain == NULL || jg__all(jg_text_from(cookie->domain), JG__UNRESERVED);
}

static void write_attribute(struct jg__output *output, const char *introduction, const char *value)
{
    if (value == NULL)
        return;
    jg__output_string(output, introduction);
    jg__output_string(output, value);
}

int jg_http_cookie_format(const jg_http_cookie *cookie, char *buffer, size_t capacity,
                          size_t *ret_size)
{
    static const char *const same_sites[] = {NULL, "Lax", "Strict", "None"};
    struct jg__output output = jg__output(buffer, capacity);

    if (!is_valid(cookie) || (unsigned)cookie->same_site > JG_HTTP_SAME_SITE_NONE)
        return -EINVAL;
    jg__output_string(&output, cookie->name);
    jg__output_byte(&output, '=');
    jg__output_text(&output, jg_text_from(cookie->value));
    write_attribute(&output, "; Path=", cookie->path);
    write_attribute(&output, "; Domain=", cookie->domain);
    if (cookie->max_age != 0) {
        jg__output_string(&output, "; Max-Age=");
        jg__output_number(&output, cookie->max_age > 0 ? (uint64_t)cookie->max_age : 0, 1);
    }
    if (cookie->secure)
        jg__output_string(&output, "; Secure");
    if (cookie->http_only)
        jg__output_string(&output, "; HttpOnly");
    write_attribute(&output, "; SameSite=", same_sites[cookie->same_site]);
    return jg__output_end(&output, ret_size);
}
