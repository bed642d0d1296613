/* SPDX-License-Identifier: MIT
 *
 * Lists and parameters in the values of fields.
 */
#include <juggle/http_field.h>

#include "http/chars.h"
#include "http/output.h"

#include <errno.h>

/* The length of a text up to a separator that is not within a quoted string. */
static size_t unquoted(jg_text text, char separator)
{
    bool quoted = false;
    size_t i;

    for (i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            quoted = !quoted;
        else if (quoted && text.data[i] == '\\')
            i++;
        else if (!quoted && text.data[i] == separator)
            return i;
    }
    return text.size;
}

static jg_text behind(jg_text text, size_t size)
{
    return jg_text_of(text.data + size, text.size - size);
}

bool jg_http_list_next(jg_text *rest, jg_text *ret_item)
{
    while (rest->size > 0) {
        size_t size = unquoted(*rest, ',');
        jg_text item = jg__trim(jg_text_of(rest->data, size));

        *rest = behind(*rest, size < rest->size ? size + 1 : size);
        if (item.size > 0) {
            *ret_item = item;
            return true;
        }
    }
    return false;
}

bool jg_http_list_has(jg_text list, const char *item)
{
    jg_text element;

    while (jg_http_list_next(&list, &element)) {
        if (jg_text_is_nocase(element, item))
            return true;
    }
    return false;
}

jg_text jg_http_value(jg_text field)
{
    return jg__trim(jg_text_of(field.data, unquoted(field, ';')));
}

/* RFC 9110 5.6.4: a quoted string without its quotes and backslashes. */
static int unquote(jg_text text, struct jg__output *output)
{
    size_t i;

    if (text.size < 2 || text.data[text.size - 1] != '"')
        return -EINVAL;
    for (i = 1; i < text.size - 1; i++) {
        if (text.data[i] == '"')
            return -EINVAL;
        if (text.data[i] == '\\' && ++i == text.size - 1)
            return -EINVAL;
        if (!jg__is(text.data[i], JG__VALUE))
            return -EINVAL;
        jg__output_byte(output, text.data[i]);
    }
    return 0;
}

/* Take `name=value` apart; false if it is malformed. */
static bool split(jg_text parameter, jg_text *ret_name, jg_text *ret_value)
{
    jg_text value = parameter, name;

    if (!jg__cut(&value, '=', &name) || value.data == NULL)
        return false;
    *ret_name = name;
    *ret_value = value;
    return jg__all(name, JG__TOKEN);
}

int jg_http_parameter(jg_text field, const char *name, char *buffer, size_t capacity,
                      size_t *ret_size)
{
    struct jg__output output = jg__output(buffer, capacity);
    size_t size = unquoted(field, ';');
    jg_text key, value;
    int r = 0;

    while (size < field.size) {
        field = behind(field, size + 1);
        size = unquoted(field, ';');
        value = jg__trim(jg_text_of(field.data, size));
        if (value.size == 0)
            continue;
        if (!split(value, &key, &value))
            return -EINVAL;
        if (!jg_text_is_nocase(key, name))
            continue;
        if (value.size > 0 && value.data[0] == '"')
            r = unquote(value, &output);
        else if (jg__all(value, JG__TOKEN))
            jg__output_text(&output, value);
        else
            r = -EINVAL;
        return r < 0 ? r : jg__output_end(&output, ret_size);
    }
    return -ENOENT;
}
