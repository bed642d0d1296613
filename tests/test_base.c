/* SPDX-License-Identifier: MIT
 *
 * src/base: lists, memory, saturating time, error texts, and the message of a failed check.
 */
#include "support.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/list.h"
#include "base/time.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lists */

struct node {
    jg_link link;
    char letter;
};

/* The letters of a list, forwards; checks that backwards says the same. */
static const char *letters(jg_link *list)
{
    static char text[64];
    size_t length = 0, back;
    jg_link *link;

    for (link = list->next; link != list; link = link->next) {
        assert_true(length < sizeof(text) - 1);
        assert_true(jg__linked(link));
        text[length++] = jg__container_of(link, struct node, link)->letter;
    }
    text[length] = '\0';
    back = length;
    for (link = list->prev; link != list; link = link->prev) {
        assert_true(back > 0);
        assert_int_equal(text[--back], jg__container_of(link, struct node, link)->letter);
    }
    assert_int_equal(back, 0);
    assert_int_equal(jg__list_empty(list), length == 0);
    return text;
}

static void a_list_keeps_the_order_of_appending(void **state)
{
    struct node a = {.letter = 'a'}, b = {.letter = 'b'}, c = {.letter = 'c'};
    jg_link list;

    (void)state;
    jg__list_init(&list);
    assert_string_equal(letters(&list), "");
    jg__list_append(&list, &a.link);
    jg__list_append(&list, &b.link);
    jg__list_append(&list, &c.link);
    assert_string_equal(letters(&list), "abc");
    assert_ptr_equal(jg__list_pop(&list), &a.link);
    assert_false(jg__linked(&a.link));
    assert_string_equal(letters(&list), "bc");
    jg__list_append(&list, &a.link);
    assert_string_equal(letters(&list), "bca");
    assert_ptr_equal(jg__list_pop(&list), &b.link);
    assert_ptr_equal(jg__list_pop(&list), &c.link);
    assert_ptr_equal(jg__list_pop(&list), &a.link);
    assert_string_equal(letters(&list), "");
}

static void any_link_can_be_taken_out(void **state)
{
    int victim, i;

    (void)state;
    for (victim = 0; victim < 4; victim++) {
        struct node nodes[4] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}, {.letter = 'd'}};
        static const char *const left[4] = {"bcd", "acd", "abd", "abc"};
        jg_link list;

        jg__list_init(&list);
        for (i = 0; i < 4; i++) {
            jg__list_append(&list, &nodes[i].link);
        }
        jg__unlink(&nodes[victim].link);
        assert_false(jg__linked(&nodes[victim].link));
        assert_string_equal(letters(&list), left[victim]);
    }
}

static void unlinking_twice_is_harmless(void **state)
{
    struct node a = {.letter = 'a'}, b = {.letter = 'b'}, zeroed;
    jg_link list;

    (void)state;
    memset(&zeroed, 0, sizeof(zeroed));
    jg__unlink(&zeroed.link);
    assert_false(jg__linked(&zeroed.link));
    jg__list_init(&list);
    jg__list_append(&list, &a.link);
    jg__list_append(&list, &b.link);
    jg__unlink(&a.link);
    jg__unlink(&a.link);
    assert_string_equal(letters(&list), "b");
    jg__unlink(&b.link);
    jg__unlink(&b.link);
    assert_string_equal(letters(&list), "");
}

static void splicing_moves_everything_to_the_end(void **state)
{
    struct node nodes[4] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}, {.letter = 'd'}};
    jg_link to, from;

    (void)state;
    jg__list_init(&to);
    jg__list_init(&from);
    jg__list_splice(&to, &from);
    assert_string_equal(letters(&to), "");
    jg__list_append(&from, &nodes[0].link);
    jg__list_append(&from, &nodes[1].link);
    jg__list_splice(&to, &from);
    assert_string_equal(letters(&to), "ab");
    assert_string_equal(letters(&from), "");
    jg__list_append(&from, &nodes[2].link);
    jg__list_append(&from, &nodes[3].link);
    jg__list_splice(&to, &from);
    assert_string_equal(letters(&to), "abcd");
    assert_string_equal(letters(&from), "");
    jg__list_splice(&to, &from);
    assert_string_equal(letters(&to), "abcd");
    jg__unlink(&nodes[1].link);
    assert_string_equal(letters(&to), "acd");
}

/* A queue that is drained to a snapshot while it is filled: what the loop does each turn. */
static void a_spliced_list_does_not_see_what_is_appended_later(void **state)
{
    struct node a = {.letter = 'a'}, b = {.letter = 'b'};
    jg_link queue, batch;

    (void)state;
    jg__list_init(&queue);
    jg__list_init(&batch);
    jg__list_append(&queue, &a.link);
    jg__list_splice(&batch, &queue);
    jg__list_append(&queue, &b.link);
    assert_ptr_equal(jg__list_pop(&batch), &a.link);
    assert_true(jg__list_empty(&batch));
    jg__list_append(&queue, &a.link);
    assert_string_equal(letters(&queue), "ba");
}

/* Random operations on two lists, against strings. */
static void lists_agree_with_a_model(void **state)
{
    struct node nodes[26];
    char models[2][64] = {"", ""};
    jg_link lists[2];
    unsigned random = 12345;
    int step, i;

    (void)state;
    memset(nodes, 0, sizeof(nodes));
    for (i = 0; i < 26; i++) {
        nodes[i].letter = (char)('a' + i);
    }
    jg__list_init(&lists[0]);
    jg__list_init(&lists[1]);
    for (step = 0; step < 5000; step++) {
        struct node *node;
        char *model, *place;
        size_t length;

        random = random * 1103515245 + 12345;
        node = &nodes[(random >> 16) % 26];
        model = models[random >> 8 & 1];
        length = strlen(model);
        switch (random >> 24 & 7) {
        case 0:
            jg__list_splice(&lists[0], &lists[1]);
            memmove(models[0] + strlen(models[0]), models[1], strlen(models[1]) + 1);
            models[1][0] = '\0';
            break;
        case 1:
            if (length > 0) {
                jg_link *first = jg__list_pop(&lists[model == models[1]]);

                assert_int_equal(jg__container_of(first, struct node, link)->letter, model[0]);
                memmove(model, model + 1, length);
            }
            break;
        case 2:
        case 3:
            jg__unlink(&node->link);
            for (i = 0; i < 2; i++) {
                place = strchr(models[i], node->letter);
                if (place) {
                    memmove(place, place + 1, strlen(place));
                }
            }
            break;
        default:
            if (!jg__linked(&node->link)) {
                jg__list_append(&lists[model == models[1]], &node->link);
                model[length] = node->letter;
                model[length + 1] = '\0';
            }
            break;
        }
        for (i = 0; i < 2; i++) {
            assert_string_equal(letters(&lists[i]), models[i]);
        }
    }
}

/* Memory */

static void malloc_allocates_moves_and_frees(void **state)
{
    char *block = jg__alloc(&jg__malloc, 10);

    (void)state;
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % _Alignof(max_align_t), 0);
    memcpy(block, "123456789", 10);
    block = jg__resize(&jg__malloc, block, 10, 100000);
    assert_non_null(block);
    assert_string_equal(block, "123456789");
    block = jg__resize(&jg__malloc, block, 100000, 5);
    assert_non_null(block);
    assert_memory_equal(block, "12345", 5);
    jg__free(&jg__malloc, block, 5);
}

static void freeing_nothing_does_not_ask_the_allocator(void **state)
{
    struct test_memory memory = {.calls = 0};
    jg_allocator allocator = test_allocator(&memory);
    void *block;

    (void)state;
    jg__free(&jg__malloc, NULL, 0);
    jg__free(&allocator, NULL, 0);
    block = jg__alloc(&allocator, 24);
    assert_non_null(block);
    block = jg__resize(&allocator, block, 24, 48);
    assert_int_equal(memory.live, 48);
    assert_int_equal(memory.blocks, 1);
    jg__free(&allocator, block, 48);
    assert_int_equal(memory.live, 0);
}

static void too_much_memory_is_null_and_changes_nothing(void **state)
{
    char *block = jg__alloc(&jg__malloc, 10);
    /* volatile: the compiler would say that it is too much */
    volatile size_t too_much = (size_t)PTRDIFF_MAX - 64;

    (void)state;
    assert_non_null(block);
    if (!test_is_slow()) { /* sanitizers abort, Valgrind warns */
        strcpy(block, "still");
        assert_null(jg__alloc(&jg__malloc, too_much));
        assert_null(jg__resize(&jg__malloc, block, 10, too_much));
        assert_string_equal(block, "still");
    }
    jg__free(&jg__malloc, block, 10);
}

/* Time */

static void sums_of_time_saturate(void **state)
{
    (void)state;
    assert_true(jg__time_add(1, 2) == 3);
    assert_true(jg__time_add(5, -7) == -2);
    assert_true(jg__time_add(JG_FOREVER, 0) == JG_FOREVER);
    assert_true(jg__time_add(JG_FOREVER, 1) == JG_FOREVER);
    assert_true(jg__time_add(1, JG_FOREVER) == JG_FOREVER);
    assert_true(jg__time_add(JG_FOREVER, JG_FOREVER) == JG_FOREVER);
    assert_true(jg__time_add(JG_FOREVER - 1, 1) == JG_FOREVER);
    assert_true(jg__time_add(INT64_MIN, -1) == INT64_MIN);
    assert_true(jg__time_add(-1, INT64_MIN) == INT64_MIN);
    assert_true(jg__time_add(INT64_MIN, INT64_MIN) == INT64_MIN);
    assert_true(jg__time_add(JG_FOREVER, INT64_MIN) == -1);
}

static void a_past_deadline_leaves_nothing_and_forever_leaves_forever(void **state)
{
    (void)state;
    assert_true(jg__time_until(10, 4) == 6);
    assert_true(jg__time_until(10, 10) == 0);
    assert_true(jg__time_until(10, 11) == 0);
    assert_true(jg__time_until(INT64_MIN, INT64_MAX) == 0);
    assert_true(jg__time_until(JG_FOREVER, 0) == JG_FOREVER);
    assert_true(jg__time_until(JG_FOREVER, JG_FOREVER) == JG_FOREVER);
    assert_true(jg__time_until(JG_FOREVER - 1, 1) == JG_FOREVER - 2);
}

static void the_units_of_time_fit_each_other(void **state)
{
    (void)state;
    assert_true(JG_MICROSECOND == 1000 * JG_NANOSECOND);
    assert_true(JG_MILLISECOND == 1000 * JG_MICROSECOND);
    assert_true(JG_SECOND == 1000 * JG_MILLISECOND);
    assert_true(JG_SECOND == 1000000000);
    assert_true(JG_FOREVER == INT64_MAX);
}

/* Errors, version, misuse */

static void every_error_has_a_text(void **state)
{
    int error;

    (void)state;
    assert_string_equal(jg_strerror(0), "success");
    assert_string_equal(jg_strerror(1), "success");
    assert_string_equal(jg_strerror(INT_MAX), "success");
    for (error = 1; error < 134; error++) {
        char expected[256];

        snprintf(expected, sizeof(expected), "%s", strerror(error));
        assert_string_equal(jg_strerror(-error), expected);
    }
    assert_non_null(jg_strerror(-4095));
    assert_non_null(jg_strerror(-100000));
    assert_non_null(jg_strerror(INT_MIN + 1));
}

static void the_library_s_own_errors_lie_below_errno_and_differ(void **state)
{
    int errors[JG_EFORKED - JG_ENAMEFAIL + JG_EHTTP_LINE - JG_EHTTP_TRUNCATED + JG_EHTTP_NO_TLS -
               JG_EHTTP_SWITCHED + 3];
    const int count = (int)(sizeof(errors) / sizeof(errors[0]));
    char text[128];
    int end = 0;

    (void)state;
    for (int error = JG_EFORKED; error >= JG_ENAMEFAIL; error--)
        errors[end++] = error;
    for (int error = JG_EHTTP_LINE; error >= JG_EHTTP_TRUNCATED; error--)
        errors[end++] = error;
    for (int error = JG_EHTTP_NO_TLS; error >= JG_EHTTP_SWITCHED; error--)
        errors[end++] = error;
    assert_int_equal(end, count);
    for (int i = 0; i < count; i++) {
        assert_true(errors[i] < -4095);
        snprintf(text, sizeof(text), "%s", jg_strerror(errors[i]));
        assert_null(strstr(text, "nknown error"));
        for (int other = 0; other < i; other++) {
            assert_int_not_equal(errors[i], errors[other]);
            assert_string_not_equal(text, jg_strerror(errors[other]));
        }
    }
}

static void the_version_is_that_of_the_headers(void **state)
{
    char expected[32];

    (void)state;
    snprintf(expected, sizeof(expected), "%d.%d.%d", JG_VERSION_MAJOR, JG_VERSION_MINOR,
             JG_VERSION_PATCH);
    assert_string_equal(jg_version(), expected);
}

static void misuse(void *arg)
{
    const int *value = arg;

    jg__check(*value == 1, "the value is one");
    jg__check(*value == 2, "the value should be two");
}

static void a_failed_check_says_where_and_what_and_aborts(void **state)
{
    int value = 1;

    (void)state;
    test_expect_abort(misuse, &value, "juggle: misuse: the value should be two");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_keeps_the_order_of_appending),
        cmocka_unit_test(any_link_can_be_taken_out),
        cmocka_unit_test(unlinking_twice_is_harmless),
        cmocka_unit_test(splicing_moves_everything_to_the_end),
        cmocka_unit_test(a_spliced_list_does_not_see_what_is_appended_later),
        cmocka_unit_test(lists_agree_with_a_model),
        cmocka_unit_test(malloc_allocates_moves_and_frees),
        cmocka_unit_test(freeing_nothing_does_not_ask_the_allocator),
        cmocka_unit_test(too_much_memory_is_null_and_changes_nothing),
        cmocka_unit_test(sums_of_time_saturate),
        cmocka_unit_test(a_past_deadline_leaves_nothing_and_forever_leaves_forever),
        cmocka_unit_test(the_units_of_time_fit_each_other),
        cmocka_unit_test(every_error_has_a_text),
        cmocka_unit_test(the_library_s_own_errors_lie_below_errno_and_differ),
        cmocka_unit_test(the_version_is_that_of_the_headers),
        cmocka_unit_test(a_failed_check_says_where_and_what_and_aborts),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
